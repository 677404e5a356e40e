"""A node is lost, with its disk and address, while tasks run and wait: another takes its place and no task is lost."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, NEIGHBOUR
from harness import processes
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

RESULTS = Path(__file__).parents[1] / "results" / "replace.jsonl"
DAG = "spread"
TASKS = 8
TOTAL = sum(range(4)) + sum(range(3))
# The workers' concurrency.
AT_ONCE = 2


@pytest.fixture
def spread(installation: Installation, rest: Rest, neighbour_airflow: Airflow) -> Airflow:
    installation.add_dag(rest, NEIGHBOUR, f"{DAG}.py", (DAGS / f"{DAG}.py").read_text())
    return neighbour_airflow


@pytest.mark.parametrize("role", ["web", "scheduler", "worker"])
def test_lost_node_is_replaced_and_no_task_is_lost(
    role: str, installation: Installation, rest: Rest, neighbour: dict[str, Any], spread: Airflow
) -> None:
    run = begin(spread)
    before = nodes(rest, neighbour)
    victim = next(node for node in before.values() if node["role"] == role)

    with Watch(rest, neighbour, spread) as watch:
        lose(installation, rest, victim)
        wait_for(f"{role} is replaced", lambda: watch.replaced(victim), 240)
        healthy_after = watch.elapsed()
        assert spread.wait_for_run(DAG, run, 600) == "success"
        done_after = watch.elapsed()

    after = nodes(rest, neighbour)
    ended = tasks(spread, run)
    tries = {name: task["try_number"] for name, task in ended.items()}
    note(
        lost=role,
        url_away_s=watch.longest_outage(),
        noticed_after_s=round(watch.noticed_after or 0, 1),
        healthy_after_s=round(healthy_after, 1),
        run_done_after_s=round(done_after, 1),
        tried_again=sorted(name for name, number in tries.items() if number > 1),
    )
    kept = before.keys() - {victim["id"]}
    assert {task["state"] for task in ended.values()} == {"success"} and len(ended) == TASKS
    assert spread.result(DAG, run, "total") == TOTAL
    assert after.keys() - before.keys() == watch.seen - before.keys(), "nothing but the replacement was ever there"
    assert after.keys() & before.keys() == kept
    [new] = [after[node] for node in after.keys() - before.keys()]
    assert new["label"] == victim["label"] and new["address"] != victim["address"]
    assert {node: after[node]["services"] for node in kept} == {node: before[node]["services"] for node in kept}
    again = [name for name, number in tries.items() if number > 1]
    assert len(again) <= AT_ONCE if role == "worker" else not again, "only what ran on a lost worker is tried again"


@pytest.mark.soak
def test_worker_concurrency_changes_without_a_second_try_and_restarts_workers_only(
    rest: Rest, neighbour: dict[str, Any], spread: Airflow
) -> None:
    def others() -> list[object]:
        return [node["services"] for node in nodes(rest, neighbour).values() if node["role"] != "worker"]

    before = others()
    assert_unharmed(
        rest, neighbour, spread, "worker_concurrency", lambda: change(rest, neighbour, worker_concurrency=3)
    )
    change(rest, neighbour, worker_concurrency=AT_ONCE)
    assert others() == before


@pytest.mark.soak
def test_workers_come_and_go_without_a_second_try(rest: Rest, neighbour: dict[str, Any], spread: Airflow) -> None:
    change(rest, neighbour, workers=2)
    assert sorted(node["label"] for node in nodes(rest, neighbour).values() if node["role"] == "worker") == [
        "worker-1",
        "worker-2",
    ]
    assert_unharmed(rest, neighbour, spread, "scale_in", lambda: change(rest, neighbour, workers=1))
    assert len(nodes(rest, neighbour)) == 3


@pytest.mark.soak
def test_restart_of_the_cluster_costs_no_second_try(rest: Rest, neighbour: dict[str, Any], spread: Airflow) -> None:
    def restart() -> None:
        finish(rest, rest.post(f"clusters/{neighbour['id']}/restart"))

    assert_unharmed(rest, neighbour, spread, "restart", restart)


# === what happens ===


def begin(airflow: Airflow) -> str:
    """A run of which some tasks run and some wait in the broker."""
    run = airflow.trigger(DAG)

    def in_the_middle() -> bool:
        states = Counter(task["state"] for task in tasks(airflow, run).values())
        return states["running"] >= 2 and states["queued"] >= 1

    wait_for("tasks run and wait", in_the_middle, 90)
    return run


def assert_unharmed(
    rest: Rest, cluster: dict[str, Any], airflow: Airflow, what: str, change: Callable[[], None]
) -> None:
    run = begin(airflow)
    with Watch(rest, cluster, airflow) as watch:
        change()
        changed_after = watch.elapsed()
        rest.wait_for_phase(NEIGHBOUR, "running")
        state = airflow.wait_for_run(DAG, run, 600)
    ended = tasks(airflow, run)
    tries = {name: task["try_number"] for name, task in ended.items()}
    note(changed=what, url_away_s=watch.longest_outage(), changed_after_s=round(changed_after, 1))
    assert state == "success" and set(tries.values()) == {1}, tries
    assert {task["state"] for task in ended.values()} == {"success"} and len(ended) == TASKS


def change(rest: Rest, cluster: dict[str, Any], **spec: int) -> None:
    etag = rest.ask("GET", f"clusters/{cluster['id']}").headers["etag"]
    answer = rest.ask("PATCH", f"clusters/{cluster['id']}", spec, {"If-Match": etag})
    assert answer.status == 202, answer.text
    finish(rest, answer.json())


def finish(rest: Rest, accepted: dict[str, Any]) -> None:
    operation = accepted["operation"]["id"]
    ended = wait_for(
        "the operation ends",
        lambda: (found := rest.get(f"operations/{operation}"))["state"] != "running" and found,
        600,
    )
    assert ended["state"] == "succeeded", ended


def lose(installation: Installation, rest: Rest, node: dict[str, Any]) -> None:
    """As when its machine burns: its directory is gone in one moment, and all of its processes with it."""
    directory = installation.data_dir / "nodes" / node["id"]
    [agent] = [pid for pid in processes.updraft("agent", installation.data_dir) if names(pid, node["id"])]
    services = {service["pid"] for service in node["services"] if service["pid"]}
    theirs = {agent} | services | members(services, directory)
    ashes = installation.data_dir / f"lost-{node['id']}"
    directory.rename(ashes)
    while theirs:
        for pid in theirs:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        theirs = {pid for pid in members(services, ashes) | theirs if processes.alive(pid)}


def names(pid: int, word: str) -> bool:
    return word in " ".join(processes.command_lines().get(pid, []))


def members(services: set[int], directory: Path) -> set[int]:
    """Whoever descends from the services, is in a session of theirs, or works in the directory. Not what descends from
    the agent: that may be the pre-imported parent, which other nodes of this machine share.
    """
    parents: dict[int, int] = {}
    theirs, works_there = set(services), set()
    for pid in processes.command_lines():
        with suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            parents[pid] = int(stat[1])
            if int(stat[3]) in services:
                theirs.add(pid)
            if Path(f"/proc/{pid}/cwd").readlink().is_relative_to(directory):
                works_there.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in theirs} - theirs:
        theirs |= more
    return (theirs | works_there) & parents.keys()


# === what is seen ===


def nodes(rest: Rest, cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By id; of each service what tells whether it was started again."""
    listed = rest.items(f"clusters/{cluster['id']}/nodes")
    for node in listed:
        node["services"] = [{"name": one["name"], "pid": one["pid"]} for one in node["services"]]
    return {node["id"]: node for node in listed}


def tasks(airflow: Airflow, run: str) -> dict[str, dict[str, Any]]:
    return {f"{task['task_id']}[{task['map_index']}]": task for task in airflow.tasks(DAG, run)}


@dataclass
class Watch:
    """Asks for URL and nodes again and again while something happens."""

    rest: Rest
    cluster: dict[str, Any]
    airflow: Airflow
    begun: float = field(default_factory=time.monotonic)
    answers: list[tuple[float, int]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    noticed_after: float | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(60)

    def _ask(self) -> None:
        while not self.over.wait(0.25):
            at, status = self.elapsed(), 0
            with suppress(OSError):
                status = self.airflow.ask("GET", "dags?limit=1").status
            # A request that was held until there was an answer is time without the URL, too.
            self.answers += [(at, 0 if self.elapsed() - at > 2 else status), (self.elapsed(), status)]

    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def replaced(self, victim: dict[str, Any]) -> bool:
        now = nodes(self.rest, self.cluster)
        self.seen |= now.keys()
        if self.noticed_after is None and victim["id"] not in now:
            self.noticed_after = self.elapsed()
        here = [node for node in now.values() if node["label"] == victim["label"]]
        return (
            [node["id"] == victim["id"] for node in here] == [False]
            and here[0]["phase"] == "running"
            and self.rest.phase(NEIGHBOUR) == "running"
            and self.airflow.ask("GET", "dags?limit=1").status == 200
        )

    def longest_outage(self) -> float:
        return round(max(self._outages(), default=0.0), 1)

    def _outages(self) -> Iterator[float]:
        since = None
        for at, status in self.answers:
            if status == 200:
                if since is not None:
                    yield at - since
                since = None
            elif since is None:
                since = at


def note(**seen: Any) -> None:
    print(json.dumps(seen))
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(seen) + "\n")
