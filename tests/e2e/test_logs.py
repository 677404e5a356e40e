"""Task logs while they are written, and after their worker is gone: in Airflow, REST, command line and bucket."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import pytest
from conftest import DAGS, NEIGHBOUR
from harness import processes
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

RESULTS = Path(__file__).parents[1] / "results" / "logs.jsonl"
LINE = re.compile(r"line (\d+) of (\d+\.\d+)")
# Whose logs a cluster's nodes ship.
SERVICES = ("scheduler", "dag-processor", "triggerer", "api-server", "worker", "broker", "agent")
# What a worker that is gone may have taken with it.
LOST_SECONDS = 5.0


@pytest.fixture
def talking(installation: Installation, rest: Rest, neighbour_airflow: Airflow) -> Airflow:
    installation.add_dag(rest, NEIGHBOUR, "talks.py", (DAGS / "talks.py").read_text())
    return neighbour_airflow


def in_airflow(airflow: Airflow, run: str, attempt: int = 1) -> dict[int, float]:
    """The lines as Airflow's own page gets them: number → when it was written."""
    path = f"dags/talks/dagRuns/{quote(run, safe='')}/taskInstances/talk/logs/{attempt}?full_content=true"
    answer = airflow.ask("GET", path)
    if answer.status == 404:
        raise OSError(f"attempt {attempt} has not begun")
    assert answer.status == 200, answer.text[:500]
    return numbered(answer.text)


def in_bucket(installation: Installation, cluster: int, run: str) -> tuple[dict[int, float], int]:
    """The first attempt's lines as anybody's S3 client reads them, and how many objects hold them."""
    s3, bucket = client(installation), f"updraft-cluster-{cluster}"
    prefix = f"logs/tasks/dag_id=talks/run_id={run}/task_id=talk/attempt=1.log/"
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    content = b"".join(gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in sorted(keys))
    return numbered(content.decode()), len(keys)


def client(installation: Installation) -> Any:
    storage = installation.storage()
    return boto3.client(
        "s3",
        endpoint_url=f"http://{storage.endpoint}",
        region_name="us-east-1",
        aws_access_key_id=storage.access_key,
        aws_secret_access_key=storage.secret_key,
    )


def in_command_line(installation: Installation, rest: Rest, run: str) -> dict[int, float]:
    words = ["logs", NEIGHBOUR, "--task", "talks/talk", "--run", run, "--attempt", "1", "--tail", "1000", "-o", "json"]
    done = installation.cli(*words, token=rest.token)
    assert done.code == 0, done.err
    return numbered(done.out)


def numbered(text: str) -> dict[int, float]:
    return {int(number): float(at) for number, at in LINE.findall(text)}


def kill_worker(rest: Rest, cluster: int) -> float:
    """The worker with all that it started; answers when."""
    worker = rest.service(cluster, "worker")["pid"]
    family = [pid for pid in processes.command_lines() if session_of(pid) == worker]
    assert worker in family
    for pid in family:
        processes.kill(pid)
    return time.time()


def session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def note(**seen: float) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps({name: round(value, 2) for name, value in seen.items()}) + "\n")


def test_a_tasks_lines_are_seen_while_it_runs_and_packed_when_it_has_ended(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], talking: Airflow
) -> None:
    run = talking.trigger("talks", {"lines": 50})
    wait_for("the first lines", lambda: in_airflow(talking, run), 60)
    lags: list[float] = []
    while talking.run_state("talks", run) == "running" and len(lags) < 10:
        lines = in_airflow(talking, run)
        lags.append(time.time() - max(lines.values()))
        time.sleep(0.3)
    assert lags, "nothing was seen before the end"
    note(seen_in_airflow_after_s=sorted(lags)[len(lags) // 2], at_most_s=max(lags))

    assert talking.wait_for_run("talks", run, 120) == "success"
    whole = list(range(50))

    def packed() -> bool:
        lines, objects = in_bucket(installation, neighbour["id"], run)
        return objects == 1 and sorted(lines) == whole

    wait_for("all of it in one object", packed, 60)
    assert sorted(in_airflow(talking, run)) == whole
    assert sorted(in_command_line(installation, rest, run)) == whole


def test_a_running_tasks_line_appears_live_in_the_console(
    journey: Callable[..., None], neighbour: dict[str, Any], talking: Airflow
) -> None:
    run = talking.trigger("talks", {"lines": 120})
    wait_for("the first lines", lambda: in_airflow(talking, run), 60)
    journey("logs.test.mjs", cluster={"id": neighbour["id"]}, run=run)


def test_what_a_killed_worker_wrote_is_there_to_read(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], talking: Airflow
) -> None:
    run = talking.trigger("talks", {"lines": 60})
    wait_for("many lines", lambda: len(in_airflow(talking, run)) > 20, 60)
    killed_at = kill_worker(rest, neighbour["id"])

    def all_but_a_few() -> dict[int, float]:
        lines = in_bucket(installation, neighbour["id"], run)[0]
        return lines if max(lines.values(), default=0) > killed_at - LOST_SECONDS else {}

    kept = wait_for("the killed worker's lines", all_but_a_few, 30)
    note(lost_s=killed_at - max(kept.values()))
    assert sorted(kept) == list(range(len(kept))), "none is missing before the last"
    assert set(kept) <= set(in_airflow(talking, run))
    assert set(kept) <= set(in_command_line(installation, rest, run))


@pytest.mark.parametrize("service", SERVICES)
def test_every_services_log_and_the_agents_own_is_shipped(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], service: str
) -> None:
    s3, bucket = client(installation), f"updraft-cluster-{neighbour['id']}"
    below = f"logs/services/{service}/"
    wait_for(f"objects below {below}", lambda: s3.list_objects_v2(Bucket=bucket, Prefix=below)["KeyCount"], 30)
    read = installation.cli("logs", NEIGHBOUR, "--service", service, "--tail", "5", token=rest.token)
    assert read.code == 0 and read.out.strip(), read.err


def test_a_services_log_is_read_and_searched_on_the_command_line(installation: Installation, rest: Rest) -> None:
    read = installation.cli("logs", NEIGHBOUR, "--service", "scheduler", "--since", "2h", token=rest.token)
    assert read.code == 0 and read.out.strip(), read.err
    nothing = installation.cli("logs", NEIGHBOUR, "--search", "nobody-ever-wrote-this", token=rest.token)
    assert nothing.code == 0, nothing.err
    assert nothing.out.strip() == ""
    wrong = installation.cli("logs", NEIGHBOUR, "--service", "no/service", token=rest.token)
    assert wrong.code != 0 and "like `scheduler`" in wrong.err, wrong.out + wrong.err
