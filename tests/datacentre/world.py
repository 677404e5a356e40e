"""What lies ready in an account: a VPC's subnets, a security group, an image, an instance profile."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

PROFILE = "updraft-node"
PARAMETER = "/updraft/image"


def make(account: str, region: str, block: str | None = None) -> dict[str, Any]:
    """With a block of addresses: in a VPC that has those."""
    ec2 = ec2_backends[account][region]
    vpc = _vpc(ec2, region, block) if block else None
    found = (subnet for zone in ec2.subnets.values() for subnet in zone.values())
    subnets = sorted(subnet.id for subnet in found if vpc in (None, subnet.vpc_id))
    groups = sorted(group.id for name, those in ec2.groups.items() for group in those.values() if vpc in (None, name))
    linux = (i for i in ec2.amis.values() if i.architecture == "x86_64" and i.platform != "windows")
    image = min(linux, key=lambda image: str(image.id))
    iam = iam_backends[account]["aws"]
    if PROFILE not in {profile.name for profile in iam.get_instance_profiles()}:
        iam.create_instance_profile(PROFILE, "/", [])
    ssm = ssm_backends[account][region]
    if ssm.get_parameter(PARAMETER) is None:
        ssm.put_parameter(PARAMETER, "", image.id, "String", "", "", True, [], "text", tier="", policies=None)
    return {
        "subnets": subnets,
        "security_groups": groups,
        "image": image.id,
        "root_device": image.root_device_name,
        "instance_profile": PROFILE,
        "parameter": PARAMETER,
    }


def _vpc(ec2: Any, region: str, block: str) -> str:
    for vpc in ec2.vpcs.values():
        if vpc.cidr_block == block:
            return str(vpc.id)
    vpc = ec2.create_vpc(cidr_block=block)
    first = ".".join(block.split(".")[:2])
    for number, zone in enumerate("ab", start=1):
        ec2.create_subnet(vpc.id, f"{first}.{number}.0/24", availability_zone=f"{region}{zone}")
    return str(vpc.id)


def tags(account: str, region: str, resource: str) -> dict[str, str]:
    return dict(ec2_backends[account][region].tags[resource])
