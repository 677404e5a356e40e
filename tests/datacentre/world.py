"""What lies ready in an account: a VPC's subnets, a security group, an image, an instance profile."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

PROFILE = "updraft-node"
PARAMETER = "/updraft/image"


def make(account: str, region: str) -> dict[str, Any]:
    ec2 = ec2_backends[account][region]
    subnets = sorted(subnet.id for zone in ec2.subnets.values() for subnet in zone.values())
    groups = sorted(group.id for vpc in ec2.groups.values() for group in vpc.values())
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
