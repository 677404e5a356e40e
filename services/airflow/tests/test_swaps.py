"""A folder of 200 files that is swapped again and again is never seen half: not by a parse, not by a run.

Every file carries its version's number. A real agent delivers, is killed (-9) at random instants in one of the tests, and
Airflow's own dag-processor, scheduler and worker read: DAG files import the others while they are parsed, tasks import them
one by one while versions come and go, and some are tried again when their version is long superseded.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import harness
import pytest
from agent import Agent, Control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import storage
    from conftest import Cluster

FILES = 200
DAGS = 4
# In CI; `tests/run --long` says 10,000.
SWAPS = int(os.environ.get("UPDRAFT_SWAPS", "40"))
LONG = SWAPS > 1000
# Long after what came with its version would be collected, were it not in use.
RETRY_SECONDS = 420 if LONG else 5
# So often the swaps wait until Airflow has recorded what is live.
RECORDED_EACH = 250 if LONG else 10
NEWER = 20
# Runs that go on beside each other, by the DAG's number.
RUNS = (0, 1, 1, 1, 1, 2) if LONG else (1, 0)

PART = "MARK = {mark}\n"
DAG_FILE = """
import importlib
import json
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task

MARK = {mark}
HERE = Path(__file__).parent
NAMES = [f"part_{{number:03}}" for number in range({parts})]


def live():
    return (HERE.parents[1] / "current").read_text().strip()


def note(kind, marks, **more):
    line = dict(kind=kind, marks=sorted(marks), version=HERE.name, **more)
    with open({notes!r}, "a") as file:
        file.write(json.dumps(line) + "\\n")


def read(names):
    return {{importlib.import_module(name).MARK for name in names}}


def read_over_swaps(pieces, seconds):
    marks, passed = {{MARK}}, 0
    for piece in range(pieces):
        before, until = live(), time.monotonic() + seconds
        while live() == before and time.monotonic() < until:
            time.sleep(0.01)
        passed += live() != before
        marks |= read(NAMES[piece::pieces])
    return marks, passed


# As it is parsed, and once more in front of each task.
marks, passed = read_over_swaps(2, 0.2) if {number} else ({{MARK}}, 0)
files = sorted(path.name for path in HERE.glob("*.py"))
texts = {{(HERE / name).read_text().split("MARK = ")[1].split()[0] for name in files}}
note("parse", marks | {{int(text) for text in texts}}, files=len(files), passed=passed)


@dag(schedule=None, tags=["mark-{mark}"])
def swaps_{number}():
    @task
    def lazy():
        run = get_current_context()["run_id"]
        marks, passed = read_over_swaps(5, 5)
        note("task", marks, run=run, passed=passed)

    @task(retries=1, retry_delay=timedelta(seconds={retry}))
    def again():
        context = get_current_context()
        note("try", read(NAMES), run=context["run_id"], number=context["ti"].try_number, live=live())
        if context["ti"].try_number == 1:
            raise ValueError("once")

    lazy() >> (again() if {number} == 1 else lazy())


swaps_{number}()
"""


@dataclass
class Swapping:
    """The cluster, and the agent that delivers to it."""

    cluster: Cluster
    control: Control
    agent: Agent
    directory: Path
    # The number that each version's files carry.
    numbers: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    # How often an agent is killed while it delivers.
    risk: float = 0.0
    # Of the latest swaps, in seconds.
    took: deque[float] = field(default_factory=lambda: deque([0.3], maxlen=20))
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def dags(self) -> Path:
        return self.agent.directory / "dags"

    def swap(self) -> None:
        """The next version, until it is live."""
        mark = len(self.numbers)
        files = {f"part_{number:03}.py": PART.format(mark=mark) for number in range(FILES - DAGS)}
        known = {"mark": mark, "parts": FILES - DAGS, "notes": str(self.directory / "notes"), "retry": RETRY_SECONDS}
        files |= {f"dag_{number}.py": DAG_FILE.format(number=number, **known) for number in range(DAGS)}
        began = time.monotonic()
        version = self.control.push({name: text.encode() for name, text in files.items()})
        self.numbers[version] = mark

        def is_live() -> bool:
            return (self.dags / "current").read_text().strip() == version

        if random.random() < self.risk:
            # At whatever it is doing now.
            time.sleep(random.uniform(0, max(self.took)))
            self.agent.kill()
            self.kills += 1
            self.agent.start()
            _soon(f"version {mark}", is_live)
        else:
            _soon(f"version {mark}", is_live)
            self.took.append(time.monotonic() - began)

    def await_receipt(self) -> None:
        live = (self.dags / "current").read_text().strip()

        def parsed() -> bool:
            path = self.dags / "notes" / "parsed.json"
            told = json.loads(path.read_text()) if path.exists() else {}
            return told.get("digest") == live and told["import_errors"] == []

        harness.wait_for(f"the receipt of version {self.numbers[live]}", parsed, 120)

    def run_for_ever(self, dag: str) -> None:
        """One run after the other."""
        while not self.ended.is_set():
            assert self.run(dag) != "failed", dag

    def run(self, dag: str) -> str:
        path = f"/api/v2/dags/{dag}/dagRuns"
        code, text = self.cluster.call(path, "user", "POST", {"logical_date": None})
        if code != 200:
            # The dag-processor records it at this moment.
            time.sleep(0.2)
            return "running"
        one = f"{path}/{json.loads(text)['dag_run_id']}"

        def state() -> str:
            code, text = self.cluster.call(one)
            return str(json.loads(text)["state"]) if code == 200 else ""

        def is_over() -> bool:
            return self.ended.is_set() or state() in ("success", "failed")

        harness.wait_for("the run", is_over, RETRY_SECONDS + 300)
        return state()

    def notes(self) -> list[dict[str, Any]]:
        complete = (self.directory / "notes").read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines()]

    def is_mixed(self, note: dict[str, Any]) -> bool:
        return bool(note["marks"] != [self.numbers[note["version"]]] or note.get("files", FILES) != FILES)

    def recorded(self) -> list[tuple[str, str]]:
        """Versions as Airflow has recorded them, and the tag that the DAG had then."""
        rows = self.cluster.postgres.sql(
            "select v.bundle_version || ' ' || (s.data->'dag'->'tags'->>0) from dag_version v"
            " join serialized_dag s on s.dag_version_id = v.id where v.dag_id like 'swaps_%'",
            "airflow",
        )
        return [
            (version, tag) for version, tag in (row.split() for row in rows.splitlines()) if version in self.numbers
        ]


@pytest.fixture
def swapping(cluster: Cluster, bucket: storage.Storage, tmp_path: Path) -> Iterator[Swapping]:
    control = Control(bucket)
    agent = Agent(control, cluster.directory, cluster.node.address)
    (agent.directory / "dags" / "current").unlink(missing_ok=True)
    agent.start()
    try:
        yield Swapping(cluster, control, agent, tmp_path)
    finally:
        agent.kill()
        control.stop()
        harness.publish_dags(cluster.directory / "dags", "v1", {})


@pytest.mark.parametrize("risk", [0.0, 0.1] if LONG else [0.2])
def test_no_parse_and_no_run_ever_sees_two_versions(swapping: Swapping, risk: float) -> None:
    began = time.monotonic()
    swapping.swap()
    swapping.await_receipt()
    swapping.risk = risk
    works = [partial(swapping.run_for_ever, f"swaps_{number}") for number in RUNS]
    failures: list[BaseException] = []
    threads = [threading.Thread(target=_kept(work, failures), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    retried = _retried(swapping)
    while len(swapping.numbers) <= SWAPS or not retried:
        swapping.swap()
        if len(swapping.numbers) % RECORDED_EACH == 0:
            swapping.await_receipt()
            retried = _retried(swapping)
            _tell(swapping, began)
            assert not failures, failures
    swapping.ended.set()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
    _judge(swapping)
    _tell(swapping, began)


def _judge(swapping: Swapping) -> None:
    notes = swapping.notes()
    assert [note for note in notes if swapping.is_mixed(note)] == []
    runs: dict[str, set[str]] = {}
    for note in notes:
        if "run" in note:
            runs.setdefault(note["run"], set()).add(note["version"])
    assert [run for run, versions in runs.items() if len(versions) != 1] == []
    recorded = swapping.recorded()
    assert recorded
    assert [one for one in recorded if one[1] != f"mark-{swapping.numbers[one[0]]}"] == []
    # What was to be seen was there to be seen.
    assert any(note["kind"] == "parse" and note["passed"] for note in notes)
    assert any(note["kind"] == "task" and note["passed"] for note in notes)
    if LONG:
        assert len(list((swapping.dags / "versions").iterdir())) < SWAPS / 2, "nothing was collected"


def _retried(swapping: Swapping) -> list[dict[str, Any]]:
    """Second tries, each with the version that its run began with, though many newer ones were live."""
    again = [note for note in swapping.notes() if note["kind"] == "try" and note["number"] == 2]
    return [note for note in again if swapping.numbers[note["live"]] - swapping.numbers[note["version"]] >= NEWER]


def _tell(swapping: Swapping, began: float) -> None:
    notes = swapping.notes()
    kinds = Counter(note["kind"] for note in notes)
    over = Counter(note["kind"] for note in notes if note.get("passed"))
    runs = len({note["run"] for note in notes if "run" in note})
    versions = len(list((swapping.dags / "versions").iterdir()))
    print(
        f"{len(swapping.numbers)} swaps, {swapping.kills} kills, {kinds['parse']} parses ({over['parse']} over a swap), "
        f"{runs} runs ({kinds['task']} tasks, {over['task']} over swaps, {len(_retried(swapping))} retried {NEWER} versions "
        f"later), {sum(map(swapping.is_mixed, notes))} mixed, {len(swapping.recorded())} recorded, {versions} on disk, "
        f"{(time.monotonic() - began) / 60:.1f} min",
        flush=True,
    )


def _soon(what: str, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not _holds(condition):
        assert time.monotonic() < until, f"{what} did not go live"
        time.sleep(0.003)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except FileNotFoundError:
        return False


def _kept(work: Callable[[], None], failures: list[BaseException]) -> Callable[[], None]:
    """What a thread fails with is the test's failure."""

    def kept() -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    return kept
