"""The evaluator of policies by tables, and by it what Updraft's own policies allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datacentre import permissions
from datacentre.policies import Asked, UnreadableError, allows, holds, names, read

PRINTED = Path(__file__).parents[2] / "terraform" / "printed"
SESSION = Path(__file__).with_name("storage-session.json")
ACCOUNT, REGION = "210987654321", "eu-central-1"

# Operator, what the policy says, what was asked with (None: nothing), whether it holds.
OPERATORS: list[tuple[str, list[str], str | list[str] | None, bool]] = [
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", ["a"], "A", False),
    ("StringEquals", ["a*"], "ab", False),
    ("StringEquals", ["a"], None, False),
    ("StringEqualsIfExists", ["a"], None, True),
    ("StringEqualsIfExists", ["a"], "b", False),
    ("StringNotEquals", ["a", "b"], "c", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", ["a"], None, True),
    ("StringEqualsIgnoreCase", ["A"], "a", True),
    ("StringEqualsIgnoreCase", ["A"], "b", False),
    ("StringNotEqualsIgnoreCase", ["A"], "a", False),
    ("StringNotEqualsIgnoreCase", ["A"], "b", True),
    ("StringLike", ["m7i.*"], "m7i.large", True),
    ("StringLike", ["m7i.*"], "m7id.large", False),
    ("StringLike", ["m?i"], "m7i", True),
    ("StringLike", ["m?i"], "m77i", False),
    ("StringLike", ["*"], None, False),
    ("StringNotLike", ["m7*"], "m7i.large", False),
    ("StringNotLike", ["m7*"], "t3.large", True),
    ("NumericEquals", ["1"], "1", True),
    ("NumericEquals", ["1"], "2", False),
    ("NumericNotEquals", ["1"], "2", True),
    ("NumericNotEquals", ["1"], "1", False),
    ("NumericLessThan", ["2"], "1", True),
    ("NumericLessThan", ["2"], "2", False),
    ("NumericLessThanEquals", ["1"], "1", True),
    ("NumericLessThanEquals", ["1"], "2", False),
    ("NumericLessThanEquals", ["9"], "10", False),
    ("NumericLessThanEquals", ["1"], None, False),
    ("NumericGreaterThan", ["1"], "2", True),
    ("NumericGreaterThan", ["1"], "1", False),
    ("NumericGreaterThanEquals", ["2"], "2", True),
    ("NumericGreaterThanEquals", ["2"], "1", False),
    ("Bool", ["true"], "true", True),
    ("Bool", ["true"], "false", False),
    ("Bool", ["true"], None, False),
    ("BoolIfExists", ["false"], None, True),
    ("BoolIfExists", ["false"], "true", False),
    ("Null", ["true"], None, True),
    ("Null", ["true"], "a", False),
    ("Null", ["false"], "a", True),
    ("Null", ["false"], None, False),
    ("ArnEquals", ["arn:aws:ec2:*:1:subnet/*"], "arn:aws:ec2:eu:1:subnet/s-1", True),
    ("ArnLike", ["arn:aws:ec2:*:1:subnet/s-1"], "arn:aws:ec2:eu:1:subnet/s-2", False),
    ("ArnLike", ["arn:aws:*:subnet/s-1"], "arn:aws:ec2:eu:1:subnet/s-1", False),
    ("ArnLike", ["arn:aws:ec2:*:1:x"], None, False),
    ("ArnNotLike", ["arn:aws:ec2:*:1:x"], "arn:aws:ec2:eu:1:x", False),
    ("ArnNotEquals", ["arn:aws:ec2:*:1:x"], "arn:aws:ec2:eu:1:y", True),
    ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
    ("ForAllValues:StringEquals", ["a"], ["a", "b"], False),
    ("ForAllValues:StringEquals", ["a"], None, True),
    ("ForAllValues:StringNotEquals", ["a"], ["b"], True),
    ("ForAllValues:StringNotEquals", ["a"], ["a", "b"], False),
    ("ForAnyValue:StringEquals", ["a"], ["a", "b"], True),
    ("ForAnyValue:StringEquals", ["a"], ["b"], False),
    ("ForAnyValue:StringEquals", ["a"], None, False),
    ("ForAnyValue:StringNotLike", ["a*"], ["ab", "b"], True),
    ("ForAnyValue:StringNotLike", ["a*"], ["ab"], False),
]


@pytest.mark.parametrize(("operator", "said", "asked", "expected"), OPERATORS)
def test_an_operator_holds_or_does_not(
    operator: str, said: list[str], asked: str | list[str] | None, expected: bool
) -> None:
    key = "aws:TagKeys" if ":" in operator else "ec2:InstanceType"
    read(policy({"Condition": {operator: {key: said}}}))
    assert holds(operator, key, tuple(said), {} if asked is None else {key.lower(): asked}) is expected


def policy(*statements: dict[str, Any]) -> str:
    whole = [{"Effect": "Allow", "Action": "*", **one} for one in statements]
    everywhere = [one if "NotResource" in one or "Principal" in one else {"Resource": "*", **one} for one in whole]
    return json.dumps({"Version": "2012-10-17", "Statement": everywhere})


INSTANCE = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1"
ELSEWHERE = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
DECISIONS: list[tuple[str, list[dict[str, Any]], bool]] = [
    ("what nothing names is not allowed", [{"Action": "ec2:StopInstances"}], False),
    ("what is named is", [{"Action": ["ec2:StopInstances", "ec2:TerminateInstances"]}], True),
    ("an action's case does not matter", [{"Action": "EC2:terminateinstances"}], True),
    ("a wildcard is part of an action", [{"Action": "ec2:Term*"}], True),
    ("another service's is another", [{"Action": "s3:*"}], False),
    (
        "all but some, which are others",
        [{"Action": "*", "Effect": "Allow"}, {"Effect": "Deny", "Action": "s3:*"}],
        True,
    ),
    ("what is denied once is", [{}, {"Effect": "Deny", "Action": "ec2:Terminate*"}], False),
    ("what is denied first is", [{"Effect": "Deny"}, {}], False),
    ("a denial elsewhere denies nothing here", [{}, {"Effect": "Deny", "Condition": ELSEWHERE}], True),
    ("of that resource", [{"Resource": f"arn:aws:ec2:*:{ACCOUNT}:instance/*"}], True),
    ("of another account's", [{"Resource": "arn:aws:ec2:*:310987654321:instance/*"}], False),
    ("of another kind", [{"Resource": f"arn:aws:ec2:*:{ACCOUNT}:volume/*"}], False),
    ("a star stays within its part of an ARN", [{"Resource": "arn:aws:ec2:*:instance/*"}], False),
    ("of one resource's own", [{"Resource": INSTANCE}], True),
    ("an ARN's case does matter", [{"Resource": INSTANCE.upper()}], False),
    ("of all but that one", [{"NotResource": INSTANCE}], False),
    ("of all but another", [{"NotResource": f"{INSTANCE}2"}], True),
    (
        "two conditions both hold",
        [{"Condition": {"StringEquals": {"ec2:Tenancy": "default", "ec2:Owner": "x"}}}],
        False,
    ),
    ("a key's case does not matter", [{"Condition": {"StringEquals": {"EC2:TENANCY": "default"}}}], True),
    ("with a tag", [{"Condition": {"StringEquals": {"aws:ResourceTag/updraft:installation": "prod"}}}], True),
    ("with another's", [{"Condition": {"StringEquals": {"aws:ResourceTag/updraft:installation": "other"}}}], False),
    ("with a tag that it has not", [{"Condition": {"StringLike": {"aws:ResourceTag/team": "*"}}}], False),
]


@pytest.mark.parametrize(("why", "statements", "expected"), DECISIONS, ids=[one[0] for one in DECISIONS])
def test_a_policy_decides(why: str, statements: list[dict[str, Any]], expected: bool) -> None:
    context: dict[str, str | list[str]] = {
        "aws:RequestedRegion": REGION,
        "aws:ResourceTag/updraft:installation": "prod",
        "ec2:Tenancy": "default",
    }
    assert allows([policy(*statements)], Asked("ec2:TerminateInstances", INSTANCE, context)) is expected, why


def test_all_but_some_actions() -> None:
    but = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*"}})
    assert not allows([but], Asked("ec2:TerminateInstances", INSTANCE))
    assert allows([but], Asked("s3:GetObject", "arn:aws:s3:::b/k"))
    assert (names([but], "ec2:StopInstances"), names([but], "s3:GetObject")) == (False, True)


def test_one_policy_denies_what_another_allows() -> None:
    asked = Asked("ec2:TerminateInstances", INSTANCE)
    assert allows([policy({})], asked)
    assert not allows([policy({}), policy({"Effect": "Deny"})], asked)
    assert not allows([], asked)


UNREADABLE: list[dict[str, Any]] = [
    {"Condition": {"StringSounds": {"ec2:Owner": "x"}}},
    {"Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}},
    {"Condition": {"NullIfExists": {"ec2:Owner": "true"}}},
    {"Condition": {"ForSomeValues:StringEquals": {"aws:TagKeys": "x"}}},
    {"Condition": {"StringEquals": {"ec2:Onwer": "x"}}},
    {"Condition": {"StringEquals": {"aws:ResourceTag/": "x"}}},
    {"Condition": {"StringEquals": {"aws:TagKeys": "x"}}},
    {"Condition": {"ForAllValues:StringEquals": {"ec2:Owner": "x"}}},
    {"Condition": {"Bool": {"ec2:Encrypted": "yes"}}},
    {"Condition": {"StringEquals": {"ec2:Owner": "${aws:username}"}}},
    {"Effect": "Perhaps"},
    {"Unless": "asked"},
    {"NotAction": "ec2:*"},
    {"Principal": {"Federated": "x"}},
]


@pytest.mark.parametrize("statement", UNREADABLE, ids=json.dumps)
def test_what_is_not_known_is_refused_when_it_is_read(statement: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        read(policy(statement))


ROOT, CONTROL = "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:role/updraft-control"
TRUST: list[tuple[str, str | None, str | None, bool]] = [
    (CONTROL, "its-own-id", "its-own-id", True),
    (CONTROL, "its-own-id", "anothers-id", False),
    (CONTROL, "its-own-id", None, False),
    (CONTROL, None, "any", True),
    (ROOT, "its-own-id", "its-own-id", True),
    ("123456789012", "its-own-id", "its-own-id", True),
    ("arn:aws:iam::123456789012:role/other", "its-own-id", "its-own-id", False),
    ("arn:aws:iam::310987654321:root", "its-own-id", "its-own-id", False),
    ("*", None, None, True),
]


@pytest.mark.parametrize(("principal", "trusted", "given", "expected"), TRUST)
def test_a_role_trusts_whom_it_names_with_its_external_id(
    principal: str, trusted: str | None, given: str | None, expected: bool
) -> None:
    context: dict[str, str | list[str]] = {"sts:ExternalId": given} if given else {}
    asked = Asked("sts:AssumeRole", "arn:aws:iam::1:role/r", context, frozenset({CONTROL, ROOT}))
    assert allows([permissions.trust(trusted, principal)], asked) is expected


def test_a_service_is_nobody_else() -> None:
    asked = Asked("sts:AssumeRole", "arn:aws:iam::1:role/r", {}, frozenset({CONTROL, ROOT}))
    assert not allows([permissions.OF_INSTANCES], asked)


@pytest.mark.parametrize("account", sorted(PRINTED.iterdir()), ids=lambda place: place.name)
def test_permissions_are_filled_in_as_the_console_prints_them(account: Path) -> None:
    said = json.loads((account / "account.json").read_text())
    assert permissions.printed(said).strip() == (account / "permissions.json").read_text().strip()


KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BY_EC2 = {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
IMAGE = f"arn:aws:ec2:{REGION}::image/ami-1"
NODES = f"arn:aws:iam::{ACCOUNT}:role/updraft-node-airflow"
# Of printed/own-key-and-types: what no call of these tests asks, since moto plays neither keys nor others' images.
ALLOWED: list[tuple[str, str, dict[str, str], bool]] = [
    ("kms:CreateGrant", KEY, {**BY_EC2, "kms:GrantIsForAWSResource": "true"}, True),
    ("kms:CreateGrant", KEY, BY_EC2, False),
    ("kms:CreateGrant", KEY, {"kms:GrantIsForAWSResource": "true"}, False),
    ("kms:Decrypt", KEY, BY_EC2, True),
    ("kms:Decrypt", KEY, {}, False),
    ("kms:Decrypt", KEY, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}, False),
    ("kms:Decrypt", KEY.replace("1234abcd-", "9999abcd-"), BY_EC2, False),
    ("kms:ReEncryptFrom", KEY, BY_EC2, True),
    ("kms:ScheduleKeyDeletion", KEY, BY_EC2, False),
    ("ec2:RunInstances", IMAGE, {"ec2:Owner": "amazon"}, True),
    ("ec2:RunInstances", IMAGE, {"ec2:Owner": ACCOUNT}, True),
    ("ec2:RunInstances", IMAGE, {"ec2:Owner": "666666666666"}, False),
    ("ec2:RunInstances", IMAGE, {}, False),
    ("ec2:RunInstances", f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/lt-1", {}, False),
    ("ec2:RunInstances", f"arn:aws:ec2:{REGION}::snapshot/snap-1", {"ec2:Owner": ACCOUNT}, False),
    ("ssm:GetParameters", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/acme/image", {}, True),
    ("ssm:GetParameters", f"arn:aws:ssm:{REGION}::parameter/aws/service/debian/12", {}, True),
    ("ssm:GetParameters", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/acme/password", {}, False),
    ("iam:PassRole", NODES, {"iam:PassedToService": "ec2.amazonaws.com"}, True),
    ("iam:PassRole", NODES, {"iam:PassedToService": "lambda.amazonaws.com"}, False),
    ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}, False),
    ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/u", {}, False),
    ("s3:GetObject", "arn:aws:s3:::acme/secrets", {}, False),
    ("sts:AssumeRole", NODES, {}, False),
]


@pytest.mark.parametrize(("action", "resource", "context", "expected"), ALLOWED)
def test_a_tenants_role_may_do_no_more_than_nodes_take(
    action: str, resource: str, context: dict[str, str], expected: bool
) -> None:
    printed = (PRINTED / "own-key-and-types" / "permissions.json").read_text()
    assert allows([printed], Asked(action, resource, {**context, "aws:RequestedRegion": REGION})) is expected


# Of the session that control opens for nodes of the cluster whose bucket is `updraft-cluster-1`.
OWN, LONGER = "arn:aws:s3:::updraft-cluster-1", "arn:aws:s3:::updraft-cluster-11"
STORED: list[tuple[str, str, bool]] = [
    ("s3:GetObject", f"{OWN}/logs/one", True),
    ("s3:PutObject", f"{OWN}/logs/one", True),
    ("s3:DeleteObject", f"{OWN}/logs/one", True),
    ("s3:AbortMultipartUpload", f"{OWN}/logs/one", True),
    ("s3:ListBucket", OWN, True),
    ("s3:GetObject", "arn:aws:s3:::updraft-cluster-2/logs/one", False),
    ("s3:GetObject", f"{LONGER}/logs/one", False),
    ("s3:PutObject", f"{LONGER}/logs/one", False),
    ("s3:ListBucket", LONGER, False),
    ("s3:ListAllMyBuckets", "*", False),
    ("s3:DeleteBucket", OWN, False),
    ("s3:PutBucketPolicy", OWN, False),
    ("s3:GetObjectVersion", f"{OWN}/logs/one", False),
    ("sts:AssumeRole", "arn:aws:iam::123456789012:role/updraft-storage", False),
]


@pytest.mark.parametrize(("action", "resource", "expected"), STORED)
def test_a_session_for_nodes_opens_their_own_clusters_bucket(action: str, resource: str, expected: bool) -> None:
    assert allows([SESSION.read_text()], Asked(action, resource)) is expected
