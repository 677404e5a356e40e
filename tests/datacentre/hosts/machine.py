"""What a host is told to be: an instance as EC2 knows it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends


@dataclass(frozen=True)
class Machine:
    instance: str
    account: str
    region: str
    zone: str
    image: str
    kind: str
    address: str
    vpc: str
    user_data: bytes
    launched: str
    """The name of its instance profile; empty: it has none."""
    profile: str
    needs_session: bool
    hop_limit: int

    @classmethod
    def of(cls, account: str, region: str, instance: str, user_data: str) -> Machine:
        known: Any = ec2_backends[account][region].get_instance(instance)
        options = known.metadata_options
        return cls(
            instance=instance,
            account=account,
            region=region,
            zone=known.placement.zone,
            image=known.image_id,
            kind=known.instance_type,
            address=known.private_ip,
            vpc=known.vpc_id,
            user_data=base64.b64decode(user_data),
            launched=known.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            profile=_profile_name(known.iam_instance_profile),
            needs_session=options.http_tokens == "required",
            hop_limit=options.http_put_response_hop_limit,
        )

    @property
    def host_name(self) -> str:
        return "ip-" + self.address.replace(".", "-")

    @property
    def mac(self) -> str:
        return "02:00:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))


def _profile_name(profile: Any) -> str:
    """Moto keeps what it was asked with."""
    if isinstance(profile, dict):
        profile = profile.get("Name") or profile.get("Arn") or ""
    return str(profile or "").rpartition("/")[2]
