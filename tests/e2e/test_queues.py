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

DAG = "heavy"
HEAVY = {"name": "heavy", "concurrency": 1, "min": 0, "max": 2}


@pytest.fixture
def queued(installation: Installation, rest: Rest, neighbour_airflow: Airflow) -> Iterator[Airflow]:
    installation.add_dag(rest, NEIGHBOUR, f"{DAG}.py", (DAGS / f"{DAG}.py").read_text())
    have_queues(rest, [HEAVY])
    yield neighbour_airflow
    have_queues(rest, [])
    wait_for("no worker of the queue is left", lambda: not heavy_workers(rest), 120)


def test_a_queue_has_workers_while_it_has_tasks_and_none_is_lost(rest: Rest, queued: Airflow) -> None:
    assert heavy_workers(rest) == []

    run = queued.trigger(DAG)
    wait_for("the tasks bring two workers", lambda: len(heavy_workers(rest)) == 2, 60)
    wait_for("the one that is idle goes, while the other works", lambda: len(heavy_workers(rest)) == 1, 90)
    assert queued.wait_for_run(DAG, run, 120) == "success"
    wait_for("the other goes too", lambda: not heavy_workers(rest), 90)

    tries = {(task["task_id"], task["map_index"]): task["try_number"] for task in queued.tasks(DAG, run)}
    assert set(tries.values()) == {1}, tries
    assert rest.phase(NEIGHBOUR) == "running"


def have_queues(rest: Rest, queues: list[dict[str, Any]]) -> None:
    cluster = rest.cluster(NEIGHBOUR)
    generation = {"If-Match": f'"{cluster["generation"]}"'}
    answer = rest.ask("PATCH", f"clusters/{cluster['id']}", {"worker_queues": queues}, generation)
    assert answer.status == 202, answer.text
    wait_for("the change is done", lambda: rest.cluster(NEIGHBOUR)["operation"] is None, 120)


def heavy_workers(rest: Rest) -> list[str]:
    nodes = rest.items(f"clusters/{rest.cluster(NEIGHBOUR)['id']}/nodes")
    return [node["label"] for node in nodes if node.get("queue") == "heavy"]
