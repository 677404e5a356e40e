"""A cluster that stops and starts by itself: at the times it was given, and when nobody needs it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS
from harness import processes
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.installation import Installation
    from harness.rest import Rest

NAME = "sleeper"
# Neither its hours nor its minutes are those of UTC.
ZONE, THERE = "Asia/Kathmandu", timezone(timedelta(hours=5, minutes=45))
# Control looks at the clock every few seconds.
LATE = timedelta(seconds=15)
# Tasks of the DAG that outlasts it: all at once.
SLOTS = 4
# The least that a cluster takes.
IDLE = timedelta(minutes=10)


@pytest.fixture
def sleeper(installation: Installation, rest: Rest) -> Iterator[dict[str, Any]]:
    asked = ["--worker-concurrency", str(SLOTS), "--wait", "--timeout", "5m"]
    made = installation.cli("cluster", "create", NAME, *asked, token=rest.token)
    assert made.code == 0, made.err
    yield rest.cluster(NAME)
    rest.ask("DELETE", f"clusters/{rest.cluster(NAME)['id']}")
    wait_for("it is gone", lambda: all(one["name"] != NAME for one in rest.items("clusters")), 120)


def test_it_stops_and_starts_at_its_times_in_its_time_zone(
    installation: Installation, rest: Rest, sleeper: dict[str, Any]
) -> None:
    airflow = installation.airflow(sleeper["id"], rest)
    works_there = working_for(installation, rest, sleeper)
    assert works_there(), "its agents and services"

    stop = next_minute(datetime.now(timezone.utc) + timedelta(seconds=3))
    start = stop + timedelta(minutes=1)
    times = ["--stop-at", cron(stop), "--start-at", cron(start), "--time-zone", ZONE]
    changed = installation.cli("cluster", "update", NAME, *times, token=rest.token)
    assert changed.code == 0, changed.err
    upcoming = rest.cluster(NAME)["upcoming"]
    assert (time(upcoming["stop"]), time(upcoming["start"])) == (stop, start)

    rest.wait_for_phase(NAME, "stopped", 60 + 60)
    wait_for("nothing of it runs", lambda: not works_there(), 30)
    page = airflow.web.get(f"{airflow.url}/")
    assert page.status in (409, 503) and "stopped" in page.text.lower(), f"{page.status}: {page.text[:500]}"

    rest.wait_for_phase(NAME, "running", 60 + 120)
    assert airflow.ask("GET", "dags").status == 200
    assert [(kind, by) for kind, by, _ in operations(rest, sleeper)[:2]] == [
        ("start", "Updraft: schedule"),
        ("stop", "Updraft: schedule"),
    ]
    for at, (kind, _, asked_at) in zip((start, stop), operations(rest, sleeper), strict=False):
        assert at <= asked_at < at + LATE, f"{kind} at {asked_at}"
        line = rest.items(f"audit?action=cluster.{kind}&target=cluster:{sleeper['id']}")[0]
        assert line["actor"]["name"] == "Updraft", line


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_it_stops_when_nobody_needs_it_and_never_under_a_task(
    installation: Installation, rest: Rest, sleeper: dict[str, Any]
) -> None:
    installation.add_dag(rest, NAME, "outlasts.py", (DAGS / "outlasts.py").read_text())
    changed = installation.cli("cluster", "update", NAME, "--stop-when-idle", "10m", token=rest.token)
    assert changed.code == 0, changed.err
    works = IDLE + timedelta(minutes=1)
    run = installation.airflow(sleeper["id"], rest).trigger("outlasts", {"seconds": works.total_seconds()})
    # Nobody asks Airflow for anything from here on: that would be use.
    began = datetime.now(timezone.utc)
    works_there = working_for(installation, rest, sleeper)

    told_at = wait_for("people are told", lambda: told(rest, sleeper), (works + IDLE).total_seconds(), every=5)
    assert told_at is not None and told_at > began + works, "not while a task runs"
    rest.wait_for_phase(NAME, "stopped", IDLE.total_seconds())
    wait_for("nothing of it runs", lambda: not works_there(), 30)
    kind, by, asked_at = operations(rest, sleeper)[0]
    assert (kind, by) == ("stop", "Updraft: idle")
    assert asked_at >= began + works + IDLE, "the whole of its time after its last task"

    started = installation.cli("cluster", "start", NAME, "--wait", "--timeout", "5m", token=rest.token)
    assert started.code == 0, started.err
    airflow = installation.airflow(sleeper["id"], rest)
    assert airflow.run_state("outlasts", run) == "success"
    assert {task["try_number"] for task in airflow.tasks("outlasts", run)} == {1}


def next_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)


def cron(moment: datetime) -> str:
    there = moment.astimezone(THERE)
    return f"{there.minute} {there.hour} * * *"


def time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def operations(rest: Rest, cluster: dict[str, Any]) -> list[tuple[str, str | None, datetime]]:
    """The newest first: what, for whom, when it was asked for."""
    listed = rest.items(f"clusters/{cluster['id']}/operations")
    return [(one["kind"], one["requested_by"], time(one["created_at"])) for one in listed]


def told(rest: Rest, cluster: dict[str, Any]) -> datetime | None:
    events = rest.items(f"clusters/{cluster['id']}/events")
    return next((time(event["at"]) for event in events if event["kind"] == "idle_stop_announced"), None)


def working_for(installation: Installation, rest: Rest, cluster: dict[str, Any]) -> Callable[[], list[str]]:
    """What of today's services and agents of the cluster is alive, whenever that is asked for."""
    pids = {one["pid"]: str(one["name"]) for one in rest.items(f"clusters/{cluster['id']}/services") if one["pid"]}
    nodes = [node["id"] for node in rest.items(f"clusters/{cluster['id']}/nodes")]
    assert pids and nodes

    def alive() -> list[str]:
        lines = processes.left_over(installation.data_dir).values()
        services = [name for pid, name in pids.items() if processes.alive(pid)]
        return services + [line for line in lines if any(node in line for node in nodes)]

    return alive
