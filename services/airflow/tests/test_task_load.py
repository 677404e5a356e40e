"""How many tasks there are, as the agent reads it."""

from __future__ import annotations

from updraft_airflow.task_load import load


def test_tasks_count_by_queue_and_by_the_worker_that_has_them() -> None:
    rows = [
        ("default", "running", "127.64.0.3", 2),
        ("default", "queued", "", 1),
        ("default", "queued", "127.64.0.3", 1),
        ("heavy", "running", "127.64.0.4", 1),
        ("heavy", "restarting", "127.64.0.4", 1),
        (None, "queued", None, 3),
    ]
    assert load(rows) == {
        "queues": [
            {"queue": "default", "queued": 5, "running": 2},
            {"queue": "heavy", "queued": 0, "running": 2},
        ],
        "workers": [{"hostname": "127.64.0.3", "running": 2}, {"hostname": "127.64.0.4", "running": 2}],
    }


def test_without_a_task_nothing_is_named() -> None:
    assert load([]) == {"queues": [], "workers": []}
