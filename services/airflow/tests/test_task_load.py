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

LASTING = """
import time
from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False)
def lasting():
    @task
    def first():
        time.sleep(20)

    @task
    def second():
        pass

    first() >> second()


lasting()
"""

FILES = {"demo.py": DAG.replace("VERSION", "v1")}


def test_a_scheduler_notes_since_when_nothing_runs_and_what_is_due(cluster: Cluster) -> None:
    harness.publish_dags(cluster.directory / "dags", "with-due", FILES | {"due.py": DUE})
    harness.wait_for("what is due", lambda: noted(cluster).get("next_run_at") == "2100-01-01T00:00:00+00:00")
    asked_at = datetime.now(UTC)
    trigger(cluster, "demo")
    assert harness.wait_for("the run to be over", lambda: quiet_after(cluster, asked_at))["queues"] == []
    harness.publish_dags(cluster.directory / "dags", "v1", FILES)
    harness.wait_for("nothing to be due", lambda: "next_run_at" not in noted(cluster))


def test_a_run_that_waits_for_its_paused_dag_is_quiet_and_goes_on_with_it(cluster: Cluster) -> None:
    asked_at = datetime.now(UTC)
    pause(cluster, "demo", paused=True)
    run = trigger(cluster, "demo")

    harness.wait_for("it to be quiet although a run waits", lambda: quiet_after(cluster, asked_at))
    assert state_of(cluster, "demo", run) == "queued"

    pause(cluster, "demo", paused=False)
    harness.wait_for("the run to go on", lambda: state_of(cluster, "demo", run) == "success")


def test_what_runs_of_a_dag_that_is_paused_meanwhile_is_not_quiet_until_it_ends(cluster: Cluster) -> None:
    harness.publish_dags(cluster.directory / "dags", "with-lasting", FILES | {"lasting.py": LASTING})
    harness.wait_for("the DAG", lambda: cluster.call("/api/v2/dags/lasting")[0] == 200)
    run = trigger(cluster, "lasting")
    harness.wait_for("its first task to run", lambda: [queue["running"] for queue in noted(cluster)["queues"]] == [1])
    pause(cluster, "lasting", paused=True)
    paused_at = datetime.now(UTC)
    assert "quiet_since" not in noted(cluster)

    note = harness.wait_for("the task to end", lambda: quiet_after(cluster, paused_at))
    assert note["queues"] == []
    assert state_of(cluster, "lasting", run) == "running", "its second task is not begun"

    pause(cluster, "lasting", paused=False)
    harness.wait_for("the run to go on", lambda: state_of(cluster, "lasting", run) == "success")
    harness.publish_dags(cluster.directory / "dags", "v1", FILES)


def noted(cluster: Cluster) -> dict[str, Any]:
    file = Path(cluster.node.variables["work_dir"], "task-load.json")
    note: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return note


def quiet_after(cluster: Cluster, at: datetime) -> dict[str, Any] | None:
    note = noted(cluster)
    since = note.get("quiet_since")
    return note if since and datetime.fromisoformat(since) > at else None


def trigger(cluster: Cluster, dag: str) -> str:
    code, text = cluster.call(f"/api/v2/dags/{dag}/dagRuns", "admin", "POST", {"logical_date": None})
    assert code == 200, text
    return str(json.loads(text)["dag_run_id"])


def pause(cluster: Cluster, dag: str, *, paused: bool) -> None:
    code, text = cluster.call(f"/api/v2/dags/{dag}", "admin", "PATCH", {"is_paused": paused})
    assert code == 200, text


def state_of(cluster: Cluster, dag: str, run: str) -> str:
    code, text = cluster.call(f"/api/v2/dags/{dag}/dagRuns/{run}")
    assert code == 200, text
    return str(json.loads(text)["state"])
