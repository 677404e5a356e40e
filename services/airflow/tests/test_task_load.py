"""How many tasks there are, as the agent reads it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from conftest import DAG

from updraft_airflow.task_load import Quiet, load

if TYPE_CHECKING:
    from conftest import Cluster


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


def test_it_is_quiet_since_the_first_look_at_which_nothing_ran() -> None:
    quiet = Quiet()
    at = [datetime(2026, 11, 22, 12, minute, tzinfo=UTC) for minute in range(8)]
    assert quiet.look(active=0, newest=None, now=at[0]) == at[0], "what was before is not known"
    assert quiet.look(active=0, newest=None, now=at[1]) == at[0]
    assert quiet.look(active=2, newest=7, now=at[2]) is None
    assert quiet.look(active=0, newest=7, now=at[3]) == at[2]
    assert quiet.look(active=0, newest=7, now=at[4]) == at[2]
    assert quiet.look(active=0, newest=8, now=at[5]) == at[5], "a run came and went"
    assert quiet.look(active=0, newest=8, now=at[6]) == at[5]


DUE = """
from datetime import datetime

from airflow.sdk import dag


@dag(schedule="@yearly", start_date=datetime(2100, 1, 1), catchup=False)
def due():
    pass


due()
"""


def test_a_scheduler_notes_since_when_nothing_runs_and_what_is_due(cluster: Cluster) -> None:
    file = Path(cluster.node.variables["work_dir"], "task-load.json")

    def noted() -> dict[str, Any]:
        note: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return note

    files = {"demo.py": DAG.replace("VERSION", "v1")}
    harness.publish_dags(cluster.directory / "dags", "with-due", files | {"due.py": DUE})
    harness.wait_for("what is due", lambda: noted().get("next_run_at") == "2100-01-01T00:00:00+00:00")
    asked_at = datetime.now(UTC)
    code, text = cluster.call("/api/v2/dags/demo/dagRuns", "admin", "POST", {"logical_date": None})
    assert code == 200, text

    def is_quiet_since() -> Any:
        note = noted()
        since = note.get("quiet_since")
        return since and datetime.fromisoformat(since) > asked_at and note

    assert harness.wait_for("the run to be over", is_quiet_since)["queues"] == []
    harness.publish_dags(cluster.directory / "dags", "v1", files)
    harness.wait_for("nothing to be due", lambda: "next_run_at" not in noted())
