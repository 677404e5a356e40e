"""Stop and start: database, DAGs and URL stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import processes
from harness.waiting import wait_for

if TYPE_CHECKING:
    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest


def test_a_stopped_cluster_keeps_everything_and_says_so(
    installation: Installation, rest: Rest, demo: dict[str, Any], demo_airflow: Airflow
) -> None:
    runs = {run["dag_run_id"] for run in demo_airflow.runs("hello_updraft")}
    pids = [service["pid"] for service in rest.items(f"clusters/{demo['id']}/services")]

    stop = installation.cli("cluster", "stop", "demo", "--wait", "--timeout", "3m", token=rest.token)
    assert stop.code == 0, stop.err
    assert rest.phase("demo") == "stopped"
    wait_for("its processes are gone", lambda: not any(processes.alive(pid) for pid in pids if pid), 30)
    page = demo_airflow.web.get(f"{demo_airflow.url}/")
    assert page.status in (409, 503) and "stopped" in page.text.lower(), f"{page.status}: {page.text[:500]}"

    start = installation.cli("cluster", "start", "demo", "--wait", "--timeout", "5m", token=rest.token)
    assert start.code == 0, start.err
    assert {run["dag_run_id"] for run in demo_airflow.runs("hello_updraft")} >= runs
    run = demo_airflow.trigger("hello_updraft")
    assert demo_airflow.wait_for_run("hello_updraft", run) == "success"


def test_starting_what_runs_and_stopping_what_stands_is_harmless(rest: Rest, demo: dict[str, Any]) -> None:
    answer = rest.ask("POST", f"clusters/{demo['id']}/start")
    assert answer.status in (200, 202, 409), answer.text
    rest.wait_for_phase("demo", "running")


def test_created_and_deleted_leaves_nothing(installation: Installation, rest: Rest) -> None:
    created = installation.cli(
        "cluster", "create", "brief", "--wait", "--timeout", "5m", "-o", "json", token=rest.token
    )
    cluster = created.json()["cluster"]["id"]
    pids = [service["pid"] for service in rest.items(f"clusters/{cluster}/services") if service["pid"]]
    done = installation.cli("cluster", "delete", "brief", "--yes", "--wait", "--timeout", "5m", token=rest.token)
    assert done.code == 0, done.err
    assert rest.ask("GET", f"clusters/{cluster}").status == 404
    wait_for("its processes are gone", lambda: not any(processes.alive(pid) for pid in pids), 30)
