"""Roles have to exist to be assumed, and ask for the external id that their trust policy names."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

from moto.iam.models import iam_backends

from datacentre.answers import RefusedError
from datacentre.call import Call

ARN = re.compile(r"arn:aws:iam::(\d{12}):role/(.+)")


def make(arn: str, external_id: str | None) -> None:
    """A role that trusts Updraft's account. Without an external id: whoever in it asks."""
    match = ARN.fullmatch(arn)
    assert match, arn
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}} if external_id else {},
            }
        ],
    }
    iam_backends[match[1]]["aws"].create_role(
        role_name=match[2],
        assume_role_policy_document=json.dumps(trust),
        path="/",
        permissions_boundary=None,
        description="",
        tags=[],
        max_session_duration="3600",
    )


def check_assumption(call: Call) -> None:
    arn = call.params.get("RoleArn", "")
    if not _trusts(arn, call.params.get("ExternalId")):
        raise RefusedError("AccessDenied", f"User is not authorized to perform: sts:AssumeRole on resource: {arn}", 403)


def _trusts(arn: str, external_id: str | None) -> bool:
    match = ARN.fullmatch(arn)
    if not match:
        return False
    roles = iam_backends[match[1]]["aws"].roles.values()
    role = next((role for role in roles if role.arn == arn), None)
    if role is None:
        return False
    for statement in json.loads(unquote(role.assume_role_policy_document))["Statement"]:
        asked = statement.get("Condition", {}).get("StringEquals", {}).get("sts:ExternalId")
        if asked is None or asked == external_id:
            return True
    return False
