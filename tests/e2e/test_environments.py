"""Packages of a cluster changed while its tasks run: good ones reach every node, bad ones none, and no task is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, NEIGHBOUR
from harness import packages
from harness.bad_changes import Row, of_packages
from harness.waiting import wait_for
from test_replace import TASKS, begin, nodes, tasks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

SPREAD = "spread"
GREETS = "greets"
BUILD = ["environment/solve", "environment/install", "environment/check"]
ROLL_OUT = ["environment/workers", "environment/others"]


# The first of each class.
BADS = {row.kind: row for row in reversed(of_packages([]).rows)}


@pytest.fixture(scope="module")
def index(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    served = packages.serve(tmp_path_factory.mktemp("index"), installation.index_port)
    yield served
    served.close()


@pytest.fixture
def airflow(installation: Installation, rest: Rest, neighbour_airflow: Airflow) -> Airflow:
    for dag in (SPREAD, GREETS):
        installation.add_dag(rest, NEIGHBOUR, f"{dag}.py", (DAGS / f"{dag}.py").read_text())
    wait_for("the DAGs are parsed", lambda: all(neighbour_airflow.has_dag(dag) for dag in (SPREAD, GREETS)), 90)
    return neighbour_airflow


@pytest.mark.usefixtures("index")
def test_bad_requirements_reach_no_node_and_good_ones_every_node_while_tasks_run(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], airflow: Airflow, tmp_path: Path
) -> None:
    run = begin(airflow)
    before = processes(rest, neighbour)
    for bad in BADS.values():
        refuse(bad, rest, neighbour)
        assert processes(rest, neighbour) == before, f"{bad.kind}: something on a node changed"
    assert_no_second_try(airflow, run)

    # An earlier run on the same data directory may have left one.
    had = rest.cluster(NEIGHBOUR)["environment"]["live"]["requirements"]
    version, word = next(pair for pair in packages.GREETINGS.items() if pair[0] not in had)
    good = tmp_path / "requirements.txt"
    good.write_text(f"greeter=={version}  # says {word}\n")
    changed = installation.cli(
        *("cluster", "update", NEIGHBOUR, "--requirements", str(good), "--wait"), token=rest.token
    )
    assert changed.code == 0, changed.err
    newest = rest.items(f"clusters/{neighbour['id']}/operations")[0]
    steps = {step["id"]: step["state"] for step in newest["steps"]}
    assert [steps[step] for step in BUILD + ROLL_OUT] == ["done"] * 5
    assert airflow.wait_for_run(SPREAD, run, 300) == "success"
    assert_no_second_try(airflow, run)
    assert len(tasks(airflow, run)) == TASKS
    assert brokers(processes(rest, neighbour)) == brokers(before), "the broker has no part in it"

    greeting = airflow.trigger(GREETS)
    assert airflow.wait_for_run(GREETS, greeting, 120) == "success"
    assert airflow.result(GREETS, greeting, "greet").startswith(word)
    assert "environment" not in rest.cluster(NEIGHBOUR)


@pytest.mark.soak
@pytest.mark.usefixtures("index")
def test_what_no_worker_starts_with_is_rolled_back(rest: Rest, neighbour: dict[str, Any], airflow: Airflow) -> None:
    run = begin(airflow)
    before = processes(rest, neighbour)
    ended = change(rest, neighbour, {"requirements": "late"}, seconds=400)
    assert (ended["state"], ended["failure"]["code"]) == ("failed", "environment_rolled_back"), ended
    assert "worker" in ended["failure"]["message"]
    assert airflow.wait_for_run(SPREAD, run, 300) == "success"
    assert_no_second_try(airflow, run)
    after = processes(rest, neighbour)
    assert {label: after[label] for label in ("scheduler-1", "web-1")} == {
        label: before[label] for label in ("scheduler-1", "web-1")
    }, "only workers ever had it"
    assert rest.cluster(NEIGHBOUR)["phase"]["state"] == "running"


def refuse(bad: Row, rest: Rest, cluster: dict[str, Any]) -> None:
    begun = time.monotonic()
    ended = patch(rest, cluster, bad.spec)
    print(f"{bad.kind}: refused after {time.monotonic() - begun:.1f} s")
    failure = ended["failure"] or {}
    assert ended["state"] == "failed", f"{bad}: {ended}"
    assert failure["code"].startswith(bad.code), f"{bad}: {failure}"
    assert bad.words in failure["message"], f"{bad}: {failure}"
    seen = rest.cluster(cluster["name"])
    assert seen["phase"]["state"] == "running", seen["phase"]
    assert seen["environment"]["state"] == "refused"
    assert bad.what not in seen["environment"]["live"]["requirements"]


def change(rest: Rest, cluster: dict[str, Any], environment: dict[str, object], seconds: float = 180) -> dict[str, Any]:
    return patch(rest, cluster, {"environment": environment}, seconds)


def patch(rest: Rest, cluster: dict[str, Any], spec: dict[str, object], seconds: float = 180) -> dict[str, Any]:
    """The operation, ended."""
    etag = rest.ask("GET", f"clusters/{cluster['id']}").headers["etag"]
    answer = rest.ask("PATCH", f"clusters/{cluster['id']}", spec, {"If-Match": etag})
    assert answer.status == 202, answer.text
    operation = answer.json()["operation"]["id"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = rest.get(f"operations/{operation}")
        return None if found["state"] == "running" else found

    found = wait_for("the change ends", ended, seconds)
    assert found is not None
    return found


def processes(rest: Rest, cluster: dict[str, Any]) -> dict[str, Any]:
    """Of each node its services with their pids: nothing was started again where they are the same."""
    return {node["label"]: node["services"] for node in nodes(rest, cluster).values()}


def brokers(seen: dict[str, Any]) -> list[Any]:
    return [service for services in seen.values() for service in services if service["name"] == "broker"]


def assert_no_second_try(airflow: Airflow, run: str) -> None:
    tries = {name: task["try_number"] for name, task in tasks(airflow, run).items()}
    assert all(number <= 1 for number in tries.values()), tries
