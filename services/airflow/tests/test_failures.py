"""What may die under a running DAG without a task being lost."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import harness
import pytest
import redis
from conftest import DAG

if TYPE_CHECKING:
    from conftest import Cluster

WIDE = """
import time
from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False)
def wide():
    @task
    def work(number):
        time.sleep(SECONDS)
        return number

    work.expand(number=list(range(COUNT)))


wide()
"""


@pytest.fixture
def wide(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """A DAG of several tasks, more than the worker can run at once; the path of a run of it."""
    count, seconds = request.param
    digest = f"wide-{count}-{seconds}"
    text = WIDE.replace("COUNT", str(count)).replace("SECONDS", str(seconds))
    # With the DAG of the other tests: what a version lacks is stale in Airflow.
    files = {"wide.py": text, "demo.py": DAG.replace("VERSION", "v1")}
    harness.publish_dags(cluster.directory / "dags", digest, files)

    def parsed() -> bool:
        code, answer = cluster.call("/api/v2/dags/wide")
        return code == 200 and json.loads(answer)["bundle_version"] == digest

    harness.wait_for("the DAG to be parsed", parsed, 60)
    code, answer = cluster.call("/api/v2/dags/wide/dagRuns", "user", "POST", {"logical_date": None})
    assert code == 200, answer
    return f"/api/v2/dags/wide/dagRuns/{json.loads(answer)['dag_run_id']}"


@pytest.fixture
def away(cluster: Cluster) -> None:
    """The worker has not come yet."""
    pid = cluster.services["worker"]
    harness.terminate(pid)
    harness.wait_for("the warm shutdown", lambda: not harness.alive(pid), 60)


def states(cluster: Cluster, run: str) -> dict[str, int]:
    code, text = cluster.call(f"{run}/taskInstances")
    counted: dict[str, int] = {}
    for instance in json.loads(text)["task_instances"] if code == 200 else []:
        counted[instance["state"]] = counted.get(instance["state"], 0) + 1
    return counted


def succeeds(cluster: Cluster, run: str, seconds: float = 120) -> None:
    """Every task instance succeeds at its first try."""

    def ended() -> str | None:
        code, text = cluster.call(run)
        state = json.loads(text)["state"] if code == 200 else None
        return state if state in ("success", "failed") else None

    ended_as = harness.wait_for("the run to end", ended, seconds)
    instances = json.loads(cluster.call(f"{run}/taskInstances")[1])["task_instances"]
    assert (ended_as, {(i["state"], i["try_number"]) for i in instances}) == ("success", {("success", 1)})


def restart_broker(cluster: Cluster) -> None:
    cluster.node.start("broker")
    harness.wait_for("the broker", lambda: harness.listens(cluster.node.address, 6379))


def kill_broker(cluster: Cluster) -> None:
    broker = cluster.node.processes["broker"]
    harness.kill_group(broker.pid, signal.SIGKILL)
    broker.wait(10)


@pytest.mark.parametrize("wide", [(6, 1)], indirect=True)
def test_a_killed_broker_loses_no_task(cluster: Cluster, wide: str) -> None:
    harness.wait_for("tasks in the queue", lambda: states(cluster, wide).get("queued", 0) >= 2)
    kill_broker(cluster)
    time.sleep(6)  # longer than celery.operation_timeout: publications are tried meanwhile
    restart_broker(cluster)
    succeeds(cluster, wide)


@pytest.mark.parametrize("wide", [(6, 2)], indirect=True)
def test_a_scheduler_node_replaced_with_an_empty_broker_loses_no_task(cluster: Cluster, wide: str) -> None:
    harness.wait_for(
        "tasks run and wait", lambda: states(cluster, wide).get("queued", 0) >= 2 and "running" in states(cluster, wide)
    )
    harness.kill_group(cluster.services["scheduler"], signal.SIGKILL)
    kill_broker(cluster)
    shutil.rmtree(Path(cluster.node.variables["work_dir"]) / "appendonlydir")
    time.sleep(3)
    restart_broker(cluster)
    began = time.monotonic()
    cluster.start("scheduler")
    succeeds(cluster, wide)
    assert time.monotonic() - began < 60, "long before scheduler.task_queued_timeout"


@pytest.mark.parametrize("wide", [(3, 8)], indirect=True)
def test_a_web_node_gone_for_half_a_minute_loses_no_task(cluster: Cluster, wide: str) -> None:
    harness.wait_for("a task to run", lambda: "running" in states(cluster, wide))
    pid = cluster.services["api-server"]
    harness.kill_group(pid, signal.SIGKILL)
    harness.wait_for("its end", lambda: not harness.alive(pid))
    time.sleep(30)
    cluster.start("api-server")
    harness.wait_for("the api-server", lambda: cluster.call("/api/v2/version", None)[0] == 200)
    succeeds(cluster, wide, 180)


@pytest.mark.parametrize("wide", [(4, 3)], indirect=True)
def test_a_stopped_worker_finishes_its_tasks_and_leaves_the_rest(cluster: Cluster, wide: str) -> None:
    harness.wait_for("a task to run", lambda: "running" in states(cluster, wide))
    pid = cluster.services["worker"]
    # The main process alone, as an agent does it: the group's members are its tasks.
    harness.terminate(pid)
    harness.wait_for("the warm shutdown", lambda: not harness.alive(pid), 60)
    assert "running" not in states(cluster, wide)
    cluster.start("worker")
    succeeds(cluster, wide)


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("wide", [(4, 1)], indirect=True)
def test_what_a_killed_worker_took_but_never_began_is_sent_again(cluster: Cluster, wide: str) -> None:
    harness.wait_for("all tasks to wait", lambda: states(cluster, wide) == {"queued": 4})
    api_server = cluster.services["api-server"]
    harness.kill_group(api_server, signal.SIGKILL)  # nothing can begin now
    harness.wait_for("its end", lambda: not harness.alive(api_server))
    before = received(cluster)
    worker = cluster.start("worker")
    harness.wait_for("the worker to take two tasks", lambda: received(cluster) - before == 2)
    harness.kill_group(worker, signal.SIGKILL)
    harness.wait_for("its end", lambda: not harness.alive(worker))

    cluster.start("api-server")
    cluster.start("worker")
    harness.wait_for("the api-server", lambda: cluster.call("/api/v2/version", None)[0] == 200)
    began = time.monotonic()
    succeeds(cluster, wide)
    assert time.monotonic() - began < 60, "long before scheduler.task_queued_timeout"


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("wide", [(2, 1)], indirect=True)
def test_what_the_broker_gave_away_and_nobody_got_is_sent_again(cluster: Cluster, wide: str) -> None:
    harness.wait_for("all tasks to wait", lambda: states(cluster, wide) == {"queued": 2})
    with redis.Redis(cluster.node.address, password=cluster.node.variables["broker_password"]) as broker:
        harness.wait_for("all messages", lambda: broker.llen("default") == 2)
        broker.rpop("default")  # the first half of giving away: a broker that dies now has noted nothing
    cluster.start("worker")
    began = time.monotonic()
    succeeds(cluster, wide)
    assert time.monotonic() - began < 60, "long before scheduler.task_queued_timeout"


def received(cluster: Cluster) -> int:
    """How many tasks the worker has taken by now."""
    log = cluster.node.directory / "logs" / "worker.log"
    return log.read_text(errors="replace").count(" received [")
