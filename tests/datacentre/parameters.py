"""Refuses parameters that EC2 does not have, by the model of its API that botocore carries."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session

from datacentre.answers import RefusedError
from datacentre.call import Call

PROTOCOL = {"Action", "Version"}
# Of those whose filters matter here.
FILTERS = {
    "DescribeInstances": {
        "availability-zone",
        "client-token",
        "image-id",
        "instance-id",
        "instance-lifecycle",
        "instance-state-name",
        "instance-type",
        "private-ip-address",
        "subnet-id",
        "tag-key",
        "vpc-id",
    },
    "DescribeInstanceStatus": {
        "availability-zone",
        "instance-state-name",
        "instance-status.reachability",
        "instance-status.status",
        "system-status.reachability",
        "system-status.status",
    },
}
TAGGED = {"DescribeInstances"}
# What all of AWS's services take, since bills and policies read tags, too; EC2 itself takes more.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
TAG = re.compile(r"TagSpecification\.(\d+)\.Tag\.(\d+)\.(Key|Value)")
SIGNS = re.compile(r"[\w +\-=.:/@]*")
LONGEST = {"Key": 128, "Value": 256}
MOST_TAGS = 50


def check(call: Call) -> None:
    """Every name leads somewhere in the action's input."""
    model = _model()
    if call.action not in model.operation_names:
        raise RefusedError("InvalidAction", f"The action {call.action} is not valid for this web service")
    shape = model.operation_model(call.action).input_shape
    for name in call.params.keys() - PROTOCOL:
        if not _leads_somewhere(shape, name.split(".")):
            raise RefusedError("UnknownParameter", f"The parameter {name} is not recognized")


def check_filters(call: Call) -> None:
    for name in call.filters():
        known = FILTERS.get(call.action)
        by_tag = call.action in TAGGED and name.startswith("tag:")
        if known is not None and name not in known and not by_tag:
            raise RefusedError("InvalidParameterValue", f"The filter '{name}' is invalid")


def check_tags(call: Call) -> None:
    for name, text in call.params.items():
        if not (match := TAG.fullmatch(name)):
            continue
        _, number, part = match.groups()
        is_ours = part == "Value" or not text.lower().startswith("aws:")
        if not SIGNS.fullmatch(text) or len(text) > LONGEST[part] or int(number) > MOST_TAGS or not is_ours:
            raise RefusedError("InvalidParameterValue", f"Tag {part.lower()} is not valid: {text}")


def _leads_somewhere(shape: Any, parts: list[str]) -> bool:
    if not parts:
        return shape.type_name not in ("structure", "list")
    first, *rest = parts
    if shape.type_name == "list":
        return first.isdigit() and _leads_somewhere(shape.member, rest)
    if shape.type_name != "structure":
        return False
    member = _members(shape).get(first)
    return member is not None and _leads_somewhere(member, rest)


def _members(shape: Any) -> dict[str, Any]:
    """By the names that EC2's protocol gives them."""
    members = {}
    for name, member in shape.members.items():
        serialized = member.serialization
        location = serialized.get("name", name)
        members[serialized.get("queryName", location[:1].upper() + location[1:])] = member
    return members


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("ec2")
