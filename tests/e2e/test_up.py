"""`updraft up`: from nothing to a DAG run that succeeded, seen through the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.waiting import wait_for
from harness.web import Web

if TYPE_CHECKING:
    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

SAMPLE = "hello_updraft"


def test_the_demo_dag_has_succeeded(demo_airflow: Airflow) -> None:
    wait_for("the sample DAG is parsed", lambda: demo_airflow.has_dag(SAMPLE), 90)

    def first_success() -> bool:
        states = [run["state"] for run in demo_airflow.runs(SAMPLE)]
        assert "failed" not in states, states
        return "success" in states

    wait_for("the sample DAG succeeds", first_success, 120)


def test_console_and_airflow_have_hosts_of_their_own(installation: Installation, rest: Rest) -> None:
    output = installation.output()
    assert installation.console in output
    assert rest.cluster("demo")["airflow_url"] == installation.airflow_url(rest.cluster("demo")["id"])


def test_a_strangers_host_name_is_refused(installation: Installation) -> None:
    answer = Web().get(f"{installation.console}/", headers={"Host": "evil.example"}, follow=False)
    assert answer.status in (400, 403, 404, 421), answer.status


def test_three_nodes_and_all_their_services_are_healthy(rest: Rest, demo: dict[str, int]) -> None:
    nodes = rest.items(f"clusters/{demo['id']}/nodes")
    assert sorted(node["role"] for node in nodes) == ["scheduler", "web", "worker"]
    services = {service["name"]: service["state"] for service in rest.items(f"clusters/{demo['id']}/services")}
    wanted = {"broker", "scheduler", "dag-processor", "triggerer", "api-server", "worker"}
    assert wanted <= services.keys() and set(services.values()) == {"healthy"}, services


def test_task_logs_are_read_from_storage(demo_airflow: Airflow) -> None:
    run = next(run for run in demo_airflow.runs(SAMPLE) if run["state"] == "success")
    path = f"dags/{SAMPLE}/dagRuns/{run['dag_run_id']}/taskInstances/greet/logs/1"
    wait_for("the log is there", lambda: "Hello from Python" in demo_airflow.ask("GET", path).text, 30)
