"""IAM's policies as AWS evaluates them: what is denied by one statement is, what is allowed by none is not allowed.

What it reads, and by which pages:
- the decision: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
- elements: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
- operators: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
- ForAllValues, ForAnyValue:
  https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
- keys: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html, and of each service
  https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html

A policy that says something not known here is refused when it is read: a condition that nobody looks at would be none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Context = Mapping[str, str | list[str]]

MANY = {"aws:tagkeys"}
KEYS = MANY | {
    "aws:requestedregion",
    "aws:securetransport",
    "ec2:associatepublicipaddress",
    "ec2:availabilityzone",
    "ec2:createaction",
    "ec2:encrypted",
    "ec2:imageid",
    "ec2:instancemarkettype",
    "ec2:instanceprofile",
    "ec2:instancetype",
    "ec2:keypairname",
    "ec2:metadatahttpendpoint",
    "ec2:metadatahttpputresponsehoplimit",
    "ec2:metadatahttptokens",
    "ec2:owner",
    "ec2:region",
    "ec2:rootdevicetype",
    "ec2:securitygroupid",
    "ec2:subnet",
    "ec2:subnetid",
    "ec2:tenancy",
    "ec2:volumesize",
    "ec2:volumetype",
    "ec2:vpc",
    "ec2:vpcid",
    "iam:associatedresourcearn",
    "iam:awsservicename",
    "iam:passedtoservice",
    "kms:grantisforawsresource",
    "kms:viaservice",
    "s3:prefix",
    "sts:externalid",
    "sts:rolesessionname",
}
TAGS = ("aws:requesttag/", "aws:resourcetag/", "ec2:resourcetag/")
ELEMENTS = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}


class UnreadableError(Exception):
    """IAM would refuse it, or it says what is not played here."""


@dataclass(frozen=True)
class Asked:
    """One action on one resource: a call may be several."""

    action: str
    """By its ARN, or `*` where the action knows no resources."""
    resource: str
    context: Context = field(default_factory=dict)
    """Who asks, for policies that name principals: the account's root as well as the role."""
    principals: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Statement:
    denies: bool
    actions: tuple[str, ...]
    is_not_action: bool
    resources: tuple[str, ...]
    is_not_resource: bool
    principals: tuple[str, ...] | None
    """Operator, key, values."""
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def names(self, action: str) -> bool:
        named = any(like(pattern.lower(), action.lower()) for pattern in self.actions)
        return named != self.is_not_action

    def applies(self, asked: Asked) -> bool:
        covered = any(is_arn_like(pattern, asked.resource) for pattern in self.resources) != self.is_not_resource
        let = self.principals is None or "*" in self.principals or not asked.principals.isdisjoint(self.principals)
        context = {key.lower(): value for key, value in asked.context.items()}
        return self.names(asked.action) and covered and let and all(holds(*one, context) for one in self.conditions)


def allows(policies: Iterable[str], asked: Asked) -> bool:
    """All policies of one kind together: those of a role, or that of a session."""
    applying = [one for policy in policies for one in read(policy) if one.applies(asked)]
    return bool(applying) and not any(one.denies for one in applying)


def names(policies: Iterable[str], action: str) -> bool:
    """Whether there is anything for which it is allowed."""
    return any(one.names(action) and not one.denies for policy in policies for one in read(policy))


@cache
def read(policy: str) -> tuple[Statement, ...]:
    try:
        document = json.loads(policy)
    except ValueError as error:
        raise UnreadableError(f"it is no JSON: {error}") from error
    if document.get("Version") != "2012-10-17" or document.keys() - {"Version", "Id", "Statement"}:
        raise UnreadableError(f"of version 2012-10-17, with Id and Statement: {list(document)}")
    return tuple(_statement(one) for one in _listed(document["Statement"]))


def _statement(said: dict[str, Any]) -> Statement:
    if unknown := said.keys() - ELEMENTS:
        raise UnreadableError(f"elements {sorted(unknown)}")
    if said.get("Effect") not in ("Allow", "Deny"):
        raise UnreadableError(f"Effect {said.get('Effect')}")
    principals = _principals(said["Principal"]) if "Principal" in said else None
    if ("Action" in said) == ("NotAction" in said):
        raise UnreadableError("Action, or NotAction")
    # Whom a role trusts is said of the role itself.
    if ("Resource" in said) + ("NotResource" in said) != (1 if principals is None else "Resource" in said):
        raise UnreadableError("Resource, or NotResource")
    resources = _texts(said.get("Resource", said.get("NotResource", "*")))
    conditions = tuple(
        (operator, key, _texts(values))
        for operator, keys in said.get("Condition", {}).items()
        for key, values in keys.items()
    )
    for operator, key, values in conditions:
        _check(operator, key, values)
    return Statement(
        said["Effect"] == "Deny",
        _texts(said.get("Action", said.get("NotAction"))),
        "NotAction" in said,
        resources,
        "NotResource" in said,
        principals,
        conditions,
    )


def _principals(said: Any) -> tuple[str, ...]:
    if said == "*":
        return ("*",)
    if unknown := said.keys() - {"AWS", "Service"}:
        raise UnreadableError(f"Principal {sorted(unknown)}")
    # An account's number stands for its root.
    accounts = (
        f"arn:aws:iam::{one}:root" if re.fullmatch(r"\d{12}", one) else one for one in _texts(said.get("AWS", []))
    )
    return (*accounts, *_texts(said.get("Service", [])))


def _listed(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


def _texts(said: Any) -> tuple[str, ...]:
    """JSON's own true and 1 are taken for the words."""
    texts = tuple(one if isinstance(one, str) else json.dumps(one) for one in _listed(said))
    for text in texts:
        if "${" in text:
            raise UnreadableError(f"variables: {text}")
    return texts


# === Conditions ===

Compared = Callable[[str, str], bool]
"""What was asked with, and what the policy says."""


def _numbers(compare: Callable[[float, float], bool]) -> Compared:
    return lambda asked, said: compare(float(asked), float(said))


POSITIVE: dict[str, Compared] = {
    "StringEquals": lambda asked, said: asked == said,
    "StringEqualsIgnoreCase": lambda asked, said: asked.lower() == said.lower(),
    "StringLike": lambda asked, said: like(said, asked),
    "NumericEquals": _numbers(lambda asked, said: asked == said),
    "NumericLessThan": _numbers(lambda asked, said: asked < said),
    "NumericLessThanEquals": _numbers(lambda asked, said: asked <= said),
    "NumericGreaterThan": _numbers(lambda asked, said: asked > said),
    "NumericGreaterThanEquals": _numbers(lambda asked, said: asked >= said),
    "Bool": lambda asked, said: asked.lower() == said.lower(),
    "ArnEquals": lambda asked, said: is_arn_like(said, asked),
    "ArnLike": lambda asked, said: is_arn_like(said, asked),
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
NULL = "Null"


def _parts(operator: str) -> tuple[str, str, bool]:
    """Over which values, how they are compared, and whether a key that is not there will do."""
    over, _, compared = operator.rpartition(":")
    name = compared.removesuffix("IfExists")
    return over, name, name != compared


def _check(operator: str, key: str, values: tuple[str, ...]) -> None:
    over, name, if_exists = _parts(operator)
    known = name in POSITIVE or name in NEGATED or (name == NULL and not if_exists and not over)
    if not known or over not in ("", "ForAllValues", "ForAnyValue"):
        raise UnreadableError(f"operator {operator}")
    tag = next((tag for tag in TAGS if key.lower().startswith(tag) and len(key) > len(tag)), None)
    if key.lower() not in KEYS and not tag:
        raise UnreadableError(f"condition key {key}")
    if name != NULL and (key.lower() in MANY) != bool(over):
        raise UnreadableError(f"{key} with {operator}: ForAllValues and ForAnyValue are for keys of several values")
    if name in ("Bool", NULL) and not {value.lower() for value in values} <= {"true", "false"}:
        raise UnreadableError(f"{operator} of {values}")


def holds(operator: str, key: str, said: tuple[str, ...], context: Context) -> bool:
    over, name, if_exists = _parts(operator)
    asked = context.get(key.lower(), [])
    asked = [asked] if isinstance(asked, str) else asked
    if name == NULL:
        return ("false" if asked else "true") in {value.lower() for value in said}
    negated = name in NEGATED
    compare = POSITIVE[NEGATED.get(name, name)]

    def one(value: str) -> bool:
        return any(compare(value, other) for other in said) != negated

    match over:
        case "ForAllValues":
            return all(one(value) for value in asked)
        case "ForAnyValue":
            return any(one(value) for value in asked)
    # What is not there equals nothing.
    return one(asked[0]) if asked else negated or if_exists


# === Patterns ===


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": "."}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)


def like(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


def is_arn_like(pattern: str, arn: str) -> bool:
    """Part by part: a `*` between colons stays between them, in the last part it goes on to the end."""
    if pattern == "*":
        return True
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    return len(patterns) == len(parts) and all(like(one, part) for one, part in zip(patterns, parts, strict=True))
