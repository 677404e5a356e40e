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


@pytest.fixture
def queued(installation: Installation, rest: Rest, neighbour_airflow: Airflow) -> Iterator[Airflow]:
    installation.add_dag(rest, NEIGHBOUR, "heavy.py", (DAGS / "heavy.py").read_text())
    ask_for(rest, [HEAVY])
    wait_for("the change is done", lambda: rest.cluster(NEIGHBOUR)["operation"] is None, 120)
    yield neighbour_airflow
    ask_for(rest, [])
    wait_for("its workers are gone", lambda: rest.cluster(NEIGHBOUR)["operation"] is None, 120)


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


def tries(airflow: Airflow, dag: str, run: str) -> set[int]:
    return {task["try_number"] for task in airflow.tasks(dag, run)}


def ask_for(rest: Rest, queues: list[dict[str, Any]]) -> None:
    cluster = rest.cluster(NEIGHBOUR)
    generation = {"If-Match": f'"{cluster["generation"]}"'}
    answer = rest.ask("PATCH", f"clusters/{cluster['id']}", {"worker_queues": queues}, generation)
    assert answer.status == 202, answer.text


def heavy_workers(rest: Rest) -> list[str]:
    nodes = rest.items(f"clusters/{rest.cluster(NEIGHBOUR)['id']}/nodes")
    return [node["label"] for node in nodes if node.get("queue") == "heavy"]
