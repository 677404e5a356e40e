"""Two tenants with an AWS account each: a cluster of each on hosts, and nothing of one in the other's account."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from harness.data_centre import REGION
from harness.on_hosts import OnHosts
from harness.rest import Rest
from harness.user_data import REPOSITORY
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root_only, pytest.mark.soak]

SAMPLE = (REPOSITORY / "infra/sample-dags/hello_updraft.py").read_text()
SECOND, PASSWORD = "bo@example.com", "another-long-password"
NAME = "pipelines"
ANYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


@dataclass
class Tenant:
    """With what AWS lists in its account, as its administrator sees it."""

    rest: Rest
    ec2: Any

    def cluster(self) -> int:
        return int(self.rest.cluster(NAME)["id"])

    def addresses(self) -> set[str]:
        return {node["address"] for node in self.rest.items(f"clusters/{self.cluster()}/nodes")}

    def instances(self) -> list[dict[str, Any]]:
        pages = self.ec2.get_paginator("describe_instances").paginate()
        found = [one for page in pages for those in page["Reservations"] for one in those["Instances"]]
        return [one for one in found if one["State"]["Name"] != "terminated"]

    def tags(self, key: str) -> set[str]:
        return {tag["Value"] for one in self.instances() for tag in one["Tags"] if tag["Key"] == key}

    def groups(self) -> list[str]:
        found = self.ec2.describe_security_groups()["SecurityGroups"]
        return [one["GroupName"] for one in found if any(t["Key"] == "updraft:cluster" for t in one.get("Tags", []))]

    def left(self) -> list[Any]:
        volumes, links = self.ec2.describe_volumes()["Volumes"], self.ec2.describe_network_interfaces()
        return [*self.instances(), *volumes, *links["NetworkInterfaces"], *self.groups()]


@pytest.fixture(scope="module")
def updraft() -> Iterator[OnHosts]:
    with OnHosts() as updraft:
        yield updraft


def with_account(updraft: OnHosts, rest: Rest, number: str) -> Tenant:
    """As its owner does it: the role trusts what is told, is named, and is given what is printed of it then."""
    world = updraft.centre.ask("world", account=number, region=REGION)
    told = rest.post("aws-accounts", {"name": "production"})
    role = f"arn:aws:iam::{number}:role/updraft-control"
    updraft.centre.ask("role", arn=role, trust=told["trust_policy"])
    config = {"role_arn": role, "region": REGION, "subnets": world["subnets"]}
    config["worker"] = {"instance_type": "m6i.xlarge", "market": "spot"}
    rest.put("aws-accounts/production", {**config, "instance_profile": world["instance_profile"]})
    # What stands in capitals is the tenant's to fill in.
    printed = rest.get("aws-accounts/production")["permissions_policy"].replace("vpc/VPC", f"vpc/{world['vpc']}")
    updraft.centre.ask("role", arn=role, trust=told["trust_policy"], permissions=printed)
    administrator = f"arn:aws:iam::{number}:role/administrator"
    updraft.centre.ask("role", arn=administrator, external_id=told["external_id"], permissions=ANYTHING)
    return Tenant(rest, updraft.centre.ec2(administrator, told["external_id"]))


def test_two_tenants_have_their_clusters_in_their_own_accounts(updraft: OnHosts) -> None:
    owner = {"email": SECOND, "name": "Bo", "password": PASSWORD}
    updraft.rest.post("tenants", {"name": "Lab", "owner": owner})
    second = wait_for("the second owner is let in", lambda: Rest.sign_in(updraft.console, SECOND, PASSWORD), 60)
    assert second is not None
    tenants = [with_account(updraft, updraft.rest, "210987654321"), with_account(updraft, second, "310987654321")]
    # The image has both brokers.
    for tenant, broker in zip(tenants, ("valkey", "rabbitmq"), strict=True):
        tenant.rest.post("clusters", {"name": NAME, "workers": 1, "aws_account": "production", "broker": broker})
        updraft.add_dag(NAME, "hello_updraft.py", SAMPLE, by=tenant.rest)
    for tenant in tenants:
        tenant.rest.wait_for_phase(NAME, "running", 600)

    assert not tenants[0].addresses() & tenants[1].addresses()
    assert updraft.centre.ec2().describe_instances()["Reservations"] == [], "nothing is in Updraft's own account"
    for tenant in tenants:
        assert {one["PrivateIpAddress"] for one in tenant.instances()} == tenant.addresses()
        assert tenant.tags("updraft:cluster") == {str(tenant.cluster())}
        markets = {one.get("InstanceLifecycle", "on-demand") for one in tenant.instances() if role(one) != "worker"}
        assert markets == {"on-demand"}
        assert {one.get("InstanceLifecycle") for one in tenant.instances() if role(one) == "worker"} == {"spot"}
        assert tenant.groups() == [f"updraft-test-{tenant.cluster()}"]
        airflow = updraft.airflow(tenant.cluster(), by=tenant.rest)
        assert airflow.wait_for_run("hello_updraft", airflow.trigger("hello_updraft")) == "success"

    first, other = tenants
    before = first.addresses()
    delete(other)
    wait_for("its account is empty", lambda: other.left() == [], 60)
    assert (first.rest.phase(NAME), first.addresses()) == ("running", before), "the neighbour's end is not its own"
    delete(first)
    wait_for("its account is empty", lambda: first.left() == [], 60)


def role(instance: dict[str, Any]) -> str:
    return next(str(tag["Value"]) for tag in instance["Tags"] if tag["Key"] == "updraft:role")


def delete(tenant: Tenant) -> None:
    tenant.rest.ask("DELETE", f"clusters/{tenant.cluster()}")
    wait_for("the cluster is gone", lambda: tenant.rest.items("clusters") == [], 300)
