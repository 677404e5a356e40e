"""A queue that scales by itself: its first task brings a worker; when it is needed no more it drains, and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, NEIGHBOUR
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

HEAVY = {"name": "heavy", "concurrency": 1, "min": 0, "max": 2}
DEFAULT = {"name": "default", "concurrency": 4, "min": 0, "max": 1}
# Of a stop, in the runtime's data.
STOP_GRACE_S = 600


@pytest.fixture
def queued(installation: Installation, rest: Rest, neighbour_airflow: Airflow) -> Iterator[Airflow]:
    installation.add_dag(rest, NEIGHBOUR, "heavy.py", (DAGS / "heavy.py").read_text())
    before = rest.cluster(NEIGHBOUR)["spec"]["config"]
    ask_for(rest, [HEAVY])
    is_done(rest)
    yield neighbour_airflow
    ask_for(rest, [], config=before)
    is_done(rest)


def test_the_first_task_of_an_empty_queue_brings_a_worker(rest: Rest, queued: Airflow) -> None:
    assert heavy_workers(rest) == []

    run = queued.trigger("heavy")
    wait_for("the task brings a worker", lambda: len(heavy_workers(rest)) == 1, 60)
    assert queued.wait_for_run("heavy", run, 120) == "success"
    assert tries(queued, "heavy", run) == {1}
    assert rest.phase(NEIGHBOUR) == "running"


@pytest.mark.soak
def test_workers_drain_and_go_when_they_are_needed_no_more(rest: Rest, queued: Airflow) -> None:
    run = queued.trigger("heavy_and_heavier")
    wait_for("the tasks bring two workers", lambda: len(heavy_workers(rest)) == 2, 60)
    wait_for("the one that is idle goes, while the other works", lambda: len(heavy_workers(rest)) == 1, 90)
    assert queued.wait_for_run("heavy_and_heavier", run, 120) == "success"
    wait_for("the other goes too", lambda: not heavy_workers(rest), 90)
    assert tries(queued, "heavy_and_heavier", run) == {1}
    assert rest.phase(NEIGHBOUR) == "running"


@pytest.mark.soak
def test_a_worker_whose_queue_is_taken_away_finishes_what_takes_longer_than_a_stop_would_leave_it(
    rest: Rest, queued: Airflow
) -> None:
    run = queued.trigger("heavy_for", {"seconds": STOP_GRACE_S + 60})
    wait_for("its task runs", lambda: states(queued, "heavy_for", run) == {"running"}, 90)
    ask_for(rest, [])
    wait_for("its worker is to go", lambda: "stopping" in phases(rest), 60)
    assert queued.wait_for_run("heavy_for", run, STOP_GRACE_S + 180) == "success"
    assert tries(queued, "heavy_for", run) == {1}
    wait_for("the worker goes", lambda: not heavy_workers(rest), 60)


@pytest.mark.soak
def test_tasks_of_a_default_queue_by_another_name_bring_workers_too(
    installation: Installation, rest: Rest, queued: Airflow
) -> None:
    before = rest.cluster(NEIGHBOUR)["spec"]["config"]
    ask_for(rest, [DEFAULT], config=before | {"operators.default_queue": "main"})
    is_done(rest)
    assert phases(rest) == []

    # A task's queue is that of when its file was parsed.
    installation.add_dag(rest, NEIGHBOUR, "outlasts.py", (DAGS / "outlasts.py").read_text())
    run = queued.trigger("outlasts", {"seconds": 1})
    assert queued.wait_for_run("outlasts", run, 120) == "success"
    assert {task["queue"] for task in queued.tasks("outlasts", run)} == {"main"}
    wait_for("its worker goes", lambda: not phases(rest), 90)


def is_done(rest: Rest) -> None:
    wait_for("the change is done", lambda: rest.cluster(NEIGHBOUR)["operation"] is None, 120)


def tries(airflow: Airflow, dag: str, run: str) -> set[int]:
    return {task["try_number"] for task in airflow.tasks(dag, run)}


def states(airflow: Airflow, dag: str, run: str) -> set[str]:
    return {task["state"] for task in airflow.tasks(dag, run)}


def ask_for(rest: Rest, queues: list[dict[str, Any]], **others: Any) -> None:
    cluster = rest.cluster(NEIGHBOUR)
    generation = {"If-Match": f'"{cluster["generation"]}"'}
    answer = rest.ask("PATCH", f"clusters/{cluster['id']}", {"worker_queues": queues, **others}, generation)
    assert answer.status == 202, answer.text


def heavy_workers(rest: Rest) -> list[str]:
    return [node["label"] for node in workers(rest) if node["queue"] == "heavy"]


def phases(rest: Rest) -> list[str]:
    return [node["phase"] for node in workers(rest)]


def workers(rest: Rest) -> list[dict[str, Any]]:
    nodes = rest.items(f"clusters/{rest.cluster(NEIGHBOUR)['id']}/nodes")
    return [node for node in nodes if node.get("queue")]
