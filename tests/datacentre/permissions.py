"""The policies that Updraft prints for an account, filled in here as its console does.

The template is the module's own (`terraform/modules/tenant-account`). What the console makes of it is in
`tests/terraform/printed`, and `tests/datacentre/tests` compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).parents[2] / "terraform/modules/tenant-account/permissions.json.tftpl"
# The module's own defaults.
INSTANCE_TYPES = ["t3.*", "m7i.*", "c7i.*", "r7i.*"]
IMAGE_OWNERS = ["amazon", "136693071363"]
UPDRAFT = "arn:aws:iam::123456789012:root"
# Of nodes.
OF_INSTANCES = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


def trust(external_id: str | None, principal: str = UPDRAFT) -> str:
    """Of whoever Updraft is. Without an external id: whoever in its account asks."""
    allowed: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    if external_id:
        allowed["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def printed(said: dict[str, Any], vpc: str = "VPC") -> str:
    """`said` as in an `account.json` there. The VPC is the tenant's to fill in."""
    config = said["config"]
    _, partition, _, _, number, _ = config["role_arn"].split(":")
    region = config["region"]

    def arn(service: str, rest: str) -> str:
        return f"arn:{partition}:{service}:{region}:{number}:{rest}"

    groups = [arn("ec2", f"security-group/{one}") for one in config.get("security_groups", [])]
    keys = [_key(key, arn) for key in [(config.get("root_volume") or {}).get("kms_key")] if key]
    image = config.get("image") or ""
    is_own = image.startswith("/") and not image.startswith("/aws/service/")
    profile = config["instance_profile"].rsplit("/")[-1]
    subnets = [arn("ec2", f"subnet/{one}") for one in config["subnets"]]
    # The console knows of none: who has some calls the module.
    pairs = [arn("ec2", f"key-pair/{one}") for one in said.get("key_pairs", [])]
    lists = {
        "regions": [region],
        "instance_types": _families(said),
        "image_parameters": [
            f"arn:{partition}:ssm:*::parameter/aws/service/*",
            *([arn("ssm", f"parameter{image}")] if is_own else []),
        ],
        "image_owners": [number, said["principal"].split(":")[4], *IMAGE_OWNERS],
        "node_roles": [f"arn:{partition}:iam::{number}:role/{profile}"],
        "places": subnets + groups + pairs,
        "vpcs": [arn("ec2", f"vpc/{vpc}")],
        "keys": keys,
    }
    words = {"partition": partition, "account": number, "installation": said["installation"]}
    text = _part(TEMPLATE.read_text(), "makes_groups", not groups)
    text = _part(text, "own_keys", bool(keys))
    for name, value in {name: json.dumps(value, separators=(",", ":")) for name, value in lists.items()}.items():
        text = text.replace(f"${{{name}}}", value)
    for name, word in words.items():
        text = text.replace(f"${{{name}}}", word)
    return text


def _part(template: str, name: str, is_there: bool) -> str:
    before, _, rest = template.partition(f"%{{ if {name} }}")
    inner, _, after = rest.partition("%{ endif }")
    return before + (inner if is_there else "") + after


def _families(said: dict[str, Any]) -> list[str]:
    config = said["config"]
    roles = zip(("scheduler", "web", "worker"), said["usual"], strict=True)
    types = [(config.get(role) or {}).get("instance_type") or usual for role, usual in roles]
    families = [f"{one.split('.')[0]}.*" for one in [*types, *said["queue_types"]]]
    return list(dict.fromkeys(INSTANCE_TYPES + families))


def _key(key: str, arn: Any) -> str:
    if key.startswith("alias/") or ":alias/" in key:
        return str(arn("kms", "key/KEY"))
    return key if key.startswith("arn:") else str(arn("kms", f"key/{key}"))
