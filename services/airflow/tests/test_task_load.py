"""How many tasks there are, as the agent reads it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness

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


def test_a_scheduler_notes_since_when_nothing_runs_and_what_is_due(cluster: Cluster) -> None:
    file = Path(cluster.node.variables["work_dir"], "task-load.json")
    due = "2100-01-01T00:00:00+00:00"
    cluster.postgres.sql(f"update dag set next_dagrun_create_after = '{due}' where dag_id = 'demo'", "airflow")
    asked_at = datetime.now(UTC)
    code, text = cluster.call("/api/v2/dags/demo/dagRuns", "admin", "POST", {"logical_date": None})
    assert code == 200, text

    def is_quiet_since() -> Any:
        note = json.loads(file.read_text()) if file.exists() else {}
        since = note.get("quiet_since")
        return since and datetime.fromisoformat(since) > asked_at and note

    note = harness.wait_for("the run to be over", is_quiet_since)
    assert note["next_run_at"] == due
    assert note["queues"] == []
    cluster.postgres.sql("update dag set next_dagrun_create_after = null where dag_id = 'demo'", "airflow")
