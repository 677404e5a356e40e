"""Task logs, read from real objects of a real S3 server while agents write, pack and lose them."""

from __future__ import annotations

import json
import tracemalloc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import harness
import pytest
import storage as s3

from updraft_airflow.logs.bucket import LogBucket
from updraft_airflow.logs.remote import ShippedTaskLogs

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cluster

PATH = "dag_id=d/run_id=manual__2026-11-22T03:45:12+00:00/task_id=g.t/attempt=1.log"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Where the agent writes keys."""
    return tmp_path / "log-keys.json"


@pytest.fixture
def logs(bucket: s3.Storage, keys: Path, monkeypatch: pytest.MonkeyPatch) -> ShippedTaskLogs:
    monkeypatch.setenv("UPDRAFT_LOGS", bucket.settings(keys))
    return ShippedTaskLogs(LogBucket())


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    """An attempt of this test's own."""
    return PATH.replace("dag_id=d", f"dag_id={request.node.name}")


def ti(state: str = "success") -> Any:
    return SimpleNamespace(state=state)


def lines(logs: ShippedTaskLogs, path: str, state: str = "success") -> list[str]:
    _, streams = logs.stream(path, ti(state))
    return [line for stream in streams for line in stream]


def test_objects_are_one_log_in_the_order_of_their_places(
    bucket: s3.Storage, logs: ShippedTaskLogs, path: str
) -> None:
    shipped = s3.Shipped(bucket, f"tasks/{path}")
    end = shipped.put(0, b"one\ntwo\n")
    shipped.put(end, b"three\n", b"four\n")
    assert lines(logs, path) == ["one", "two", "three", "four"]


def test_a_running_attempt_shows_whole_lines_and_a_killed_one_all_that_arrived(
    bucket: s3.Storage, logs: ShippedTaskLogs, path: str
) -> None:
    shipped = s3.Shipped(bucket, f"tasks/{path}")
    shipped.put(0, b"one\nhalf a li")
    assert lines(logs, path, "running") == ["one"]
    assert lines(logs, path, "failed") == ["one", "half a li"]
    shipped.put(0, b"one\nhalf a line\n")
    assert lines(logs, path, "running") == ["one", "half a line"]


def test_while_objects_are_packed_no_line_is_doubled(bucket: s3.Storage, logs: ShippedTaskLogs, path: str) -> None:
    shipped = s3.Shipped(bucket, f"tasks/{path}")
    end = shipped.put(0, b"one\n")
    shipped.put(end, b"two\n")
    shipped.put(0, b"one\n", b"two\n")
    assert lines(logs, path) == ["one", "two"], "the packed object is there, the other one still too"
    shipped.remove(end)
    assert lines(logs, path) == ["one", "two"]


def test_packing_under_the_reader_loses_no_line(bucket: s3.Storage, logs: ShippedTaskLogs, path: str) -> None:
    shipped = s3.Shipped(bucket, f"tasks/{path}")
    pieces = [b"".join(b"%06d\n" % (1000 * part + n) for n in range(1000)) for part in range(4)]
    ends = [0]
    for piece in pieces:
        ends.append(shipped.put(ends[-1], piece))
    _, [stream] = logs.stream(path, ti())
    read = [next(stream)]
    shipped.put(0, *pieces)
    for offset in ends[1:-1]:
        shipped.remove(offset)
    read.extend(stream)
    assert read == [f"{n:06}" for n in range(4000)]


def test_a_retry_on_another_node_follows_what_the_first_one_wrote(
    bucket: s3.Storage, logs: ShippedTaskLogs, path: str
) -> None:
    s3.Shipped(bucket, f"tasks/{path}", "20261122T040000000Z-00000001.worker-2-aaaaaaaaaaaa").put(0, b"second\n")
    s3.Shipped(bucket, f"tasks/{path}").put(0, b"first")
    assert lines(logs, path, "running") == ["first", "second"]


def test_a_triggerers_part_is_a_stream_of_its_own_and_attempts_are_not_mixed(
    bucket: s3.Storage, logs: ShippedTaskLogs, path: str
) -> None:
    s3.Shipped(bucket, f"tasks/{path}").put(0, b"task\n")
    s3.Shipped(bucket, f"tasks/{path}.trigger.7.log").put(0, b"trigger\n")
    other = path.replace("attempt=1", "attempt=10")
    s3.Shipped(bucket, f"tasks/{other}").put(0, b"tenth\n")
    _, streams = logs.stream(path, ti("deferred"))
    assert [list(stream) for stream in streams] == [["task"], ["trigger"]]
    assert lines(logs, other) == ["tenth"]


@pytest.mark.parametrize(
    ("written", "shipped"),
    [
        ("dag_id=ä b/run_id=50%/task_id=t/attempt=1.log", "tasks/dag_id=ä b/run_id=50%25/task_id=t/attempt=1.log"),
        ("dag_id=a/run_id=x/y/task_id=t/attempt=1.log", "files/tasks/dag_id=a/run_id=x/y/task_id=t/attempt=1.log"),
        ("dag_id=a/run_id=n\u0001/task_id=t/attempt=1.log", "tasks/dag_id=a/run_id=n%01/task_id=t/attempt=1.log"),
        (
            "dag_id=m/run_id=r+1/task_id=t/map_index=12/attempt=3.log",
            "tasks/dag_id=m/run_id=r+1/task_id=t/map_index=12/attempt=3.log",
        ),
    ],
)
def test_odd_names_are_found(bucket: s3.Storage, logs: ShippedTaskLogs, written: str, shipped: str) -> None:
    s3.Shipped(bucket, shipped).put(0, b"found\n")
    assert lines(logs, written) == ["found"]


def test_a_stretch_that_never_arrived_is_named_where_it_is_missing(
    bucket: s3.Storage, logs: ShippedTaskLogs, path: str
) -> None:
    shipped = s3.Shipped(bucket, f"tasks/{path}")
    shipped.put(0, b"one\n")
    shipped.put(1000, b"later\n")
    first, lost, last = lines(logs, path)
    assert (first, json.loads(lost)["event"], last) == ("one", "996 bytes of this log never arrived.", "later")


def test_a_log_of_any_size_is_read_with_little_memory(bucket: s3.Storage, logs: ShippedTaskLogs, path: str) -> None:
    shipped = s3.Shipped(bucket, f"tasks/{path}")
    piece = b"".join(b'{"event":"%064d"}\n' % n for n in range(13_000))
    end = 0
    for _ in range(3):
        end = shipped.put(end, *[piece] * 32)
    tracemalloc.start()
    count = sum(1 for line in logs.stream(path, ti())[1][0] if line)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 13_000 * 96
    assert end > 90 << 20
    assert most < 12 << 20


def test_a_line_without_end_is_shown_in_pieces(bucket: s3.Storage, logs: ShippedTaskLogs, path: str) -> None:
    s3.Shipped(bucket, f"tasks/{path}").put(0, b"x" * (3 << 20), b"\n")
    assert sum(map(len, lines(logs, path))) == 3 << 20
    assert max(map(len, lines(logs, path))) <= 1 << 20


def test_a_bucket_that_does_not_answer_is_a_line_that_says_so(
    bucket: s3.Storage, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPDRAFT_LOGS", bucket.settings(keys))
    s3.write_keys(keys, "wrong")
    [line] = lines(ShippedTaskLogs(LogBucket()), PATH)
    assert "could not be read" in json.loads(line)["event"]
    keys.unlink()
    [line] = lines(ShippedTaskLogs(LogBucket()), PATH)
    assert "could not be read" in json.loads(line)["event"]
    monkeypatch.delenv("UPDRAFT_LOGS")
    [line] = lines(ShippedTaskLogs(LogBucket()), PATH)
    assert "UPDRAFT_LOGS" in json.loads(line)["event"]


def test_other_keys_are_taken_as_soon_as_they_are_there(
    bucket: s3.Storage, logs: ShippedTaskLogs, keys: Path, path: str
) -> None:
    s3.Shipped(bucket, f"tasks/{path}").put(0, b"one\n")
    s3.write_keys(keys, "of a session that has ended")
    assert "could not be read" in lines(logs, path)[0]
    s3.write_keys(keys, s3.KEYS[1])
    assert lines(logs, path) == ["one"]
    client = logs._bucket._client()
    assert logs._bucket._client() is client, "the same keys make no other client"


def test_an_object_that_breaks_off_shows_what_it_has_and_says_so(
    bucket: s3.Storage, logs: ShippedTaskLogs, path: str
) -> None:
    shipped = s3.Shipped(bucket, f"tasks/{path}")
    shipped.client.put_object(Bucket=s3.BUCKET, Key=shipped.key(0), Body=b"no gzip at all")
    [line] = lines(logs, path)
    assert "Reading stopped here" in json.loads(line)["event"]


def run_of(cluster: Cluster) -> str:
    harness.wait_for("the DAG to be live", lambda: not json.loads(cluster.call("/api/v2/dags/demo")[1])["is_stale"], 120)
    code, text = cluster.call("/api/v2/dags/demo/dagRuns", "user", "POST", {"logical_date": None})
    assert code == 200, text
    run = str(json.loads(text)["dag_run_id"])
    where = f"/api/v2/dags/demo/dagRuns/{run}"
    harness.wait_for("the run", lambda: json.loads(cluster.call(where)[1])["state"] == "success")
    return run


def events(cluster: Cluster, run: str, query: str = "") -> list[str]:
    code, text = cluster.call(f"/api/v2/dags/demo/dagRuns/{run}/taskInstances/hello/logs/1{query}", "user")
    assert code == 200, text
    return [line["event"] for line in json.loads(text)["content"]]


def test_airflow_shows_what_was_shipped_and_until_then_why_there_is_nothing(
    cluster: Cluster, bucket: s3.Storage
) -> None:
    run = run_of(cluster)
    path = f"tasks/dag_id=demo/run_id={run}/task_id=hello/attempt=1.log"
    before = events(cluster, run)
    assert any("No line of this attempt is in the log bucket" in event for event in before), before
    assert not any("hello from" in event for event in before), "the node's own file is not what is shown"
    written = (cluster.node.directory / "logs" / path).read_bytes()
    s3.Shipped(bucket, path).put(0, written)
    after = events(cluster, run)
    assert any("hello from" in event for event in after), after
    assert not any("served logs" in event or "in the log bucket" in event for event in after), after


def test_airflow_gives_the_same_lines_as_a_page_and_as_a_stream(cluster: Cluster, bucket: s3.Storage) -> None:
    run = run_of(cluster)
    shipped = s3.Shipped(bucket, f"tasks/dag_id=demo/run_id={run}/task_id=hello/attempt=1.log")
    shipped.put(0, b'{"event":"one","timestamp":"2026-11-22T00:00:00Z"}\n')
    assert events(cluster, run)[-1] == "one"
    where = f"/api/v2/dags/demo/dagRuns/{run}/taskInstances/hello/logs/1"
    ndjson = cluster.call_as(where, "application/x-ndjson")
    assert [json.loads(line)["event"] for line in ndjson.splitlines()][-1] == "one"


def test_only_the_service_that_shows_logs_is_told_where_they_are() -> None:
    runtime = harness.Runtime()
    told = [service["name"] for service in runtime.services if "logs" in service["secrets"]]
    assert told == ["api-server"]


def test_a_secret_is_masked_wherever_it_stands_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pem = "-----BEGIN-----\nfirst-line\nsecond-line\n"
    monkeypatch.setenv("UPDRAFT_SECRETS", "WORD,PEM,AIRFLOW_CONN_DB,PIN,GONE")
    for name, value in {"WORD": 'a"b%20c', "PEM": pem, "AIRFLOW_CONN_DB": "x://u:p%40ssw@h/d", "PIN": "1234"}.items():
        monkeypatch.setenv(name, value)
    [masked] = ShippedTaskLogs(LogBucket()).processors
    event: dict[str, Any] = {
        "event": 'it is a"b%20c, 1234', "level": "info",
        "error_detail": [{"exc_value": "no second-line for p@ssw", "frames": ({"name": "x://u:p%40ssw@h/d"},)}],
    }  # fmt: skip
    assert masked(None, "info", event) == {
        "event": "it is ***, 1234", "level": "info",
        "error_detail": [{"exc_value": "no *** for ***", "frames": [{"name": "***"}]}],
    }  # fmt: skip
    monkeypatch.delenv("UPDRAFT_SECRETS")
    assert ShippedTaskLogs(LogBucket()).processors == ()
