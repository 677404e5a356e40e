"""RabbitMQ as a cluster's broker: tasks of two queues run, and killed or stopped it loses none of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, QUICK
from harness import processes
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

NAME = "rabbit"
HEAVY = {"name": "heavy", "concurrency": 1, "min": 1, "max": 1}


@pytest.fixture(scope="module")
def rabbit(installation: Installation) -> Iterator[dict[str, Any]]:
    rest = installation.rest()
    rest.post("clusters", {"name": NAME, "broker": "rabbitmq", "config": QUICK, "worker_queues": [HEAVY]})
    try:
        rest.wait_for_phase(NAME, "running")
        for dag in ("steady.py", "heavy.py"):
            installation.add_dag(rest, NAME, dag, (DAGS / dag).read_text())
        yield rest.cluster(NAME)
    finally:
        rest.ask("DELETE", f"clusters/{rest.cluster(NAME)['id']}")
        wait_for("it is gone", lambda: all(one["name"] != NAME for one in rest.items("clusters")), 120)


@pytest.fixture
def airflow(installation: Installation, rest: Rest, rabbit: dict[str, Any]) -> Airflow:
    return installation.airflow(rabbit["id"], rest)


def test_a_killed_rabbitmq_comes_back_under_running_tasks_and_none_is_tried_again(
    rest: Rest, rabbit: dict[str, Any], airflow: Airflow
) -> None:
    run, heavy = airflow.trigger("steady"), airflow.trigger("heavy")
    wait_for("the first task runs", lambda: states(airflow, run).get("step_0") == "running", 60)
    broker = rest.service(rabbit["id"], "broker")["pid"]
    assert "beam" in command(broker), "RabbitMQ, and not Valkey"
    password_is_nowhere(broker)
    others = service_pids(rest, rabbit["id"]) - {broker}
    processes.kill(broker)

    wait_for("the broker is back", lambda: is_back(rest, rabbit["id"], broker), 120)
    assert airflow.wait_for_run("steady", run, 300) == "success"
    assert airflow.wait_for_run("heavy", heavy, 120) == "success"
    for dag, of_it in (("steady", run), ("heavy", heavy)):
        assert {task["try_number"] for task in airflow.tasks(dag, of_it)} == {1}
    assert others <= service_pids(rest, rabbit["id"]), "services that were not killed went on as they were"


@pytest.mark.soak
def test_stopped_and_started_it_does_what_waited(rest: Rest, rabbit: dict[str, Any], airflow: Airflow) -> None:
    run = airflow.trigger("steady")
    wait_for("the second task waits or runs", lambda: "step_1" in states(airflow, run), 60)
    rest.post(f"clusters/{rabbit['id']}/stop")
    rest.wait_for_phase(NAME, "stopped")
    rest.post(f"clusters/{rabbit['id']}/start")
    rest.wait_for_phase(NAME, "running")
    assert airflow.wait_for_run("steady", run, 300) == "success"


def states(airflow: Airflow, run: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in airflow.tasks("steady", run)}


def service_pids(rest: Rest, cluster: int) -> set[int]:
    return {service["pid"] for service in rest.items(f"clusters/{cluster}/services") if service["pid"]}


def is_back(rest: Rest, cluster: int, killed: int) -> bool:
    service = rest.service(cluster, "broker")
    return service["state"] == "healthy" and service["pid"] != killed and rest.phase(NAME) == "running"


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def password_is_nowhere(pid: int) -> None:
    """Neither on the broker's command line nor in its environment; it is in a file of the node's."""
    definitions = json.loads((Path(f"/proc/{pid}/cwd").resolve() / "rabbitmq.json").read_text())
    password = definitions["users"][0]["password"]
    assert len(password) > 20
    public = command(pid) + Path(f"/proc/{pid}/environ").read_text()
    assert password not in public
