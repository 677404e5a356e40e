"""Roles: whom they trust, what they may do, and what a session of one may."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from datacentre import authorization, policies
from datacentre.answers import RefusedError
from datacentre.authorization import Session
from datacentre.call import Call
from datacentre.signatures import OWN_ACCOUNT, OWN_KEY

# Who Updraft is in its own account, where it is also the account's administrator.
OWN_ROLE = f"arn:aws:iam::{OWN_ACCOUNT}:role/updraft-control"
ANYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


def make(arn: str, trust: str, permissions: str | None) -> None:
    """Anew, if it is there. Without permissions it may be assumed, and nothing else."""
    _, _, _, _, account, name = arn.split(":")
    name = name.rpartition("/")[2]
    for policy in (trust, permissions):
        _ = policies.read(policy) if policy else ()
    iam = iam_backends[account]["aws"]
    if known := next((role for role in iam.roles.values() if role.name == name), None):
        iam.roles.pop(known.id)
    iam.create_role(
        role_name=name,
        assume_role_policy_document=trust,
        path=f"{arn.split(':role')[1].rpartition('/')[0]}/",
        permissions_boundary=None,
        description="",
        tags=[],
        max_session_duration="3600",
    )
    if permissions:
        iam.put_role_policy(name, "nodes", permissions)


def check_assumption(call: Call) -> None:
    arn = call.params.get("RoleArn", "")
    session = of_session(call.access_key)
    principal = session.arn if session else OWN_ROLE
    context = {"aws:RequestedRegion": call.region, "sts:RoleSessionName": call.params.get("RoleSessionName", "")}
    if external_id := call.params.get("ExternalId"):
        context["sts:ExternalId"] = external_id
    account = principal.split(":")[4]
    whom = frozenset({principal, f"arn:aws:iam::{account}:root"})
    role = _role(arn)
    asked = policies.Asked("sts:AssumeRole", arn, context, whom)
    if role is None or not policies.allows([unquote(role.assume_role_policy_document)], asked):
        raise RefusedError("AccessDenied", f"User is not authorized to perform: sts:AssumeRole on resource: {arn}", 403)
    try:
        policies.read(call.params.get("Policy", ANYTHING))
    except policies.UnreadableError as error:
        raise RefusedError("MalformedPolicyDocument", str(error)) from error


def check(call: Call, is_listed: Callable[[str], bool]) -> None:
    """What the role's policies say, if it is a role's session."""
    if call.access_key != OWN_KEY and (session := of_session(call.access_key)):
        authorization.check(call, session, is_listed)


def of_session(access_key: str) -> Session | None:
    backends = [(account, backend) for account, those in sts_backends.items() for backend in those.values()]
    for account, backend in backends:
        assumed = backend.get_assumed_role_from_access_key(access_key)
        if assumed:
            role = _role(assumed.role_arn)
            return Session(
                str(account), assumed.role_arn, list(role.policies.values()) if role else [], assumed.policy or None
            )
    return None


def _role(arn: str) -> Any:
    account = arn.split(":")[4] if arn.count(":") == 5 else ""
    return (
        next((role for role in iam_backends[account]["aws"].roles.values() if role.arn == arn), None)
        if account
        else None
    )
