"""An older release's own programs beside these, under tasks that run: no task is lost, whichever side is the newer."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, DEMO
from harness import processes
from harness.releases import MIGRATED, Releases
from harness.waiting import wait_for
from test_kill import service_pids
from test_replace import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.airflow import Airflow
    from harness.rest import Rest

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]

RESULTS = Path(__file__).parents[1] / "results" / "older_release.jsonl"
# More of them than the worker takes at once: some run and some wait in the broker, two minutes and a half in all.
TASKS, SECONDS = 4, 75


@pytest.fixture
def releases() -> Iterator[Releases]:
    """The older one's `up`, with its demo cluster running."""
    older = os.environ.get("UPDRAFT_OLDER_BIN")
    if not older:
        pytest.fail("UPDRAFT_OLDER_BIN names no older release's `updraft`; `tests/run --long` builds one")
    # Services run as users of their own as root: they must be able to pass.
    place = Path(tempfile.mkdtemp(prefix="updraft-older-"))
    place.chmod(0o755)
    these = Releases.at(place, Path(older), Path(os.environ["UPDRAFT_BIN"]))
    try:
        these.up(these.older)
        for dag in ("outlasts", "steady"):
            these.installation.add_dag(these.installation.rest(), DEMO, f"{dag}.py", (DAGS / f"{dag}.py").read_text())
        yield these
    finally:
        these.end()
        shutil.rmtree(place, ignore_errors=True)


def test_older_agents_and_an_older_edge_live_on_under_newer_control(releases: Releases) -> None:
    airflow, rest = reached(releases)
    run = begin(airflow)
    agents, edge, services = releases.running("agent"), releases.running("edge"), pids(rest)

    # Control first, as the runbook has it. Its `up`, older too, starts what lies where its own program lay.
    at = time.monotonic()
    releases.replace("control", releases.newer)
    note(what="newer control, older agents and edge", control_back_s=round(time.monotonic() - at, 1))
    assert (releases.running("agent"), releases.running("edge")) == (agents, edge), "they go on as they were"
    airflow, rest = reached(releases)
    assert releases.all_of("agent", releases.older) and releases.all_of("edge", releases.older)
    assert pids(rest) == services, "nothing was started again"
    succeeds_at_first_try(airflow, "outlasts", run, TASKS)
    changes_its_size_and_runs_what_is_new(airflow, rest)

    # The rest of it at once, and in the middle of a run: `up` itself is the newer.
    run = begin(airflow)
    agents = releases.running("agent")
    releases.kill_control()
    assert is_served(airflow), "the edge needs no control"
    at = time.monotonic()
    releases.up(releases.newer)
    note(what="newer up, older agents", up_s=round(time.monotonic() - at, 1))
    assert releases.all_of("control", releases.newer)
    assert releases.all_of("edge", releases.newer), "what ran before from the same path is not taken for the newer"
    assert releases.running("agent") == agents
    airflow, rest = reached(releases)
    succeeds_at_first_try(airflow, "outlasts", run, TASKS)
    is_stopped_and_started(releases, rest)
    assert releases.all_of("agent", releases.newer)
    runs_what_is_new(airflow)

    # There is no way back but the backup, or everything would have to know what is to come.
    releases.kill_control()
    said = releases.refusal(releases.older)
    if said:
        assert any(word in said for word in MIGRATED), said[-3000:]
        releases.up(releases.newer)
    airflow, rest = reached(releases)
    runs_what_is_new(airflow)


def test_newer_agents_and_a_newer_edge_live_under_older_control(releases: Releases) -> None:
    airflow, rest = reached(releases)
    run = begin(airflow)
    control, services = releases.running("control"), pids(rest)

    at = time.monotonic()
    for part in ("agent", "edge"):
        releases.replace(part, releases.newer)
    wait_for("the page is served", lambda: is_served(airflow), 60)
    note(what="older control, newer agents and edge", served_again_s=round(time.monotonic() - at, 1))
    airflow, rest = reached(releases)
    assert pids(rest) == services, "a newer agent takes over what an older one started"
    succeeds_at_first_try(airflow, "outlasts", run, TASKS)
    changes_its_size_and_runs_what_is_new(airflow, rest)
    is_stopped_and_started(releases, rest)
    runs_what_is_new(airflow)

    # And back: the older archive, named again.
    run = begin(airflow)
    services = pids(rest)
    releases.replace("agent", releases.older)
    rest.wait_for_phase(DEMO, "running")
    assert pids(rest) == services, "an older agent takes over what a newer one started"
    succeeds_at_first_try(airflow, "outlasts", run, TASKS)
    assert releases.running("control") == control and releases.all_of("control", releases.older)


# === what happens ===


def begin(airflow: Airflow) -> str:
    run = airflow.trigger("outlasts", {"seconds": SECONDS})

    def in_the_middle() -> bool:
        states = Counter(task["state"] for task in airflow.tasks("outlasts", run))
        return states["running"] >= 2 and states["running"] + states["queued"] == TASKS

    wait_for("tasks run", in_the_middle, 90)
    return run


def changes_its_size_and_runs_what_is_new(airflow: Airflow, rest: Rest) -> None:
    """The node that comes has an agent of the other release: their relays meet."""
    cluster = rest.cluster(DEMO)
    size = cluster["spec"]["workers"]
    change(rest, cluster, workers=size + 1)
    runs_what_is_new(airflow)
    change(rest, cluster, workers=size)
    runs_what_is_new(airflow)


def is_stopped_and_started(releases: Releases, rest: Rest) -> None:
    for verb in ("stop", "start"):
        done = releases.installation.cli("cluster", verb, DEMO, "--wait", "--timeout", "5m", token=rest.token)
        assert done.code == 0, done.err


def runs_what_is_new(airflow: Airflow) -> None:
    succeeds_at_first_try(airflow, "steady", airflow.trigger("steady"), 5)


# === what is seen ===


def reached(releases: Releases) -> tuple[Airflow, Rest]:
    """Signed in anew, by REST and then by a hand-over at the edge."""
    rest = releases.installation.sign_in()
    rest.wait_for_phase(DEMO, "running")
    return releases.installation.airflow(rest.cluster(DEMO)["id"], rest), rest


def is_served(airflow: Airflow) -> bool:
    return airflow.web.get(f"{airflow.url}/").status == 200


def pids(rest: Rest) -> set[int]:
    found = service_pids(rest, rest.cluster(DEMO)["id"])
    assert found and all(processes.alive(pid) for pid in found)
    return found


def succeeds_at_first_try(airflow: Airflow, dag: str, run: str, tasks: int) -> None:
    assert airflow.wait_for_run(dag, run, 600) == "success"
    ended = [(task["state"], task["try_number"]) for task in airflow.tasks(dag, run)]
    assert ended == [("success", 1)] * tasks, ended


def note(**seen: Any) -> None:
    print(json.dumps(seen))
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(seen) + "\n")
