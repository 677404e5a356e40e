"""What lies ready in an account: a VPC's subnets, a security group, an image, an instance profile."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

from datacentre import permissions, roles

PROFILE = "updraft-node"
PARAMETER = "/updraft/image"


def make(account: str, region: str, block: str | None = None) -> dict[str, Any]:
    """With a block of addresses: in a VPC that has those."""
    ec2 = ec2_backends[account][region]
    vpc = _vpc(ec2, region, block) if block else None
    found = (subnet for zone in ec2.subnets.values() for subnet in zone.values())
    subnets = sorted(subnet.id for subnet in found if vpc in (None, subnet.vpc_id))
    groups = sorted(group.id for name, those in ec2.groups.items() for group in those.values() if vpc in (None, name))
    if not block:
        _let_out(ec2)
    linux = (i for i in ec2.amis.values() if i.architecture == "x86_64" and i.platform != "windows")
    image = min(linux, key=lambda image: str(image.id))
    make_profile(account, PROFILE)
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
        "vpc": vpc_of(account, region, subnets),
    }


def make_profile(account: str, name: str) -> None:
    """With a role of the same name, as IAM's console gives it one."""
    iam = iam_backends[account]["aws"]
    if name not in {profile.name for profile in iam.get_instance_profiles()}:
        roles.make(f"arn:aws:iam::{account}:role/{name}", permissions.OF_INSTANCES, None)
        iam.create_instance_profile(name, "/", [name])


def vpc_of(account: str, region: str, subnets: list[str]) -> str:
    """Of the first that is there."""
    known = [one for zone in ec2_backends[account][region].subnets.values() for one in zone.values()]
    return next((str(one.vpc_id) for one in known if one.id in subnets), "vpc-00000000")


def _let_out(ec2: Any) -> None:
    """The default VPC's subnets have a way out that takes no public address."""
    table = next(table for table in ec2.route_tables.values() if table.main_association_id)
    if "0.0.0.0/0" not in {route.destination_cidr_block for route in table.routes}:
        gateway = ec2.create_transit_gateway(description="out")
        ec2.create_route(table.id, "0.0.0.0/0", transit_gateway_id=gateway.id)


def _vpc(ec2: Any, region: str, block: str) -> str:
    for vpc in ec2.vpcs.values():
        if vpc.cidr_block == block:
            return str(vpc.id)
    # Hosts of all accounts are on one bridge: no two have the same address.
    others = sum(v.cidr_block == block for there in ec2_backends.values() for v in there[region].vpcs.values())
    vpc = ec2.create_vpc(cidr_block=block)
    first = ".".join(block.split(".")[:2])
    for number, zone in enumerate("ab", start=1 + 2 * others):
        ec2.create_subnet(vpc.id, f"{first}.{number}.0/24", availability_zone=f"{region}{zone}")
    return str(vpc.id)


def tags(account: str, region: str, resource: str) -> dict[str, str]:
    return dict(ec2_backends[account][region].tags[resource])


def groups(account: str, region: str) -> dict[str, Any]:
    """Those that somebody made, with who may connect to whom."""
    found = (group for those in ec2_backends[account][region].groups.values() for group in those.values())
    return {group.id: _rules(group) for group in found if not group.is_default and group.name != "default"}


def volumes(account: str, region: str) -> list[str]:
    return sorted(ec2_backends[account][region].volumes)


def keep_volume(account: str, region: str, instance: str) -> None:
    """Somebody has its disk outlive the instance."""
    for device in ec2_backends[account][region].get_instance(instance).block_device_mapping.values():
        device.delete_on_termination = False


def _rules(group: Any) -> list[Any]:
    return [
        [rule.ip_protocol, rule.from_port, rule.to_port, rule.ip_range, rule.source_group]
        for rule in group.ingress_rules
    ]


def change_way_out(account: str, region: str, to: str) -> None:
    """The default route leads to an internet gateway, or nowhere, or out again."""
    ec2 = ec2_backends[account][region]
    table = next(table for table in ec2.route_tables.values() if table.main_association_id)
    if "0.0.0.0/0" in {route.destination_cidr_block for route in table.routes}:
        ec2.delete_route(table.id, "0.0.0.0/0")
    if to == "internet-gateway":
        gateway = ec2.create_internet_gateway()
        ec2.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
    elif to == "out":
        _let_out(ec2)


def make_group(account: str, region: str, name: str) -> None:
    """By hand, in the default VPC."""
    ec2_backends[account][region].create_security_group(name, "somebody's")
