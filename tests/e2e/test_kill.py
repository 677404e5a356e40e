"""kill -9 of each part while a DAG runs: it comes back, and no task is lost that Airflow itself would not lose."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS
from harness import processes
from harness.waiting import wait_for

if TYPE_CHECKING:
    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

RESULTS = Path(__file__).parents[1] / "results" / "kill.jsonl"
# Airflow itself gives up a task whose worker died, and tries it again.
RETRIED = {"worker"}
PARTS = ["control", "edge", "agent", "scheduler", "api-server", "worker", "broker"]


@pytest.fixture
def steady(installation: Installation, rest: Rest, neighbour_airflow: Airflow) -> Airflow:
    installation.add_dag(rest, "neighbour", "steady.py", (DAGS / "steady.py").read_text())
    return neighbour_airflow


@pytest.mark.parametrize("part", PARTS)
def test_part_comes_back_and_no_task_is_lost(
    part: str, installation: Installation, rest: Rest, neighbour: dict[str, Any], steady: Airflow
) -> None:
    run = steady.trigger("steady")
    wait_for("the first task runs", lambda: states(steady, run).get("step_0") == "running", 60)

    victims = pids(part, installation, rest, neighbour["id"])
    assert victims, f"no process of {part} was found"
    others = service_pids(rest, neighbour["id"]) - set(victims)
    killed_at = time.monotonic()
    for victim in victims:
        processes.kill(victim)

    wait_for(f"{part} is back", lambda: is_back(part, victims, installation, rest, neighbour["id"], steady), 180)
    healthy_after = time.monotonic() - killed_at
    assert steady.wait_for_run("steady", run, 300) == "success"
    tries = {task["task_id"]: task["try_number"] for task in steady.tasks("steady", run)}
    note(part, healthy_after, time.monotonic() - killed_at, tries)
    if part not in RETRIED:
        assert set(tries.values()) == {1}, tries
    assert others <= service_pids(rest, neighbour["id"]), "services that were not killed went on as they were"


def states(airflow: Airflow, run: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in airflow.tasks("steady", run)}


def service_pids(rest: Rest, cluster: int) -> set[int]:
    return {service["pid"] for service in rest.items(f"clusters/{cluster}/services") if service["pid"]}


def pids(part: str, installation: Installation, rest: Rest, cluster: int) -> list[int]:
    if part in ("control", "edge"):
        return processes.updraft(part, installation.data_dir)
    if part == "agent":
        nodes = [node["id"] for node in rest.items(f"clusters/{cluster}/nodes")]
        agents = processes.updraft("agent", installation.data_dir)
        lines = processes.command_lines()
        return [pid for pid in agents if any(node in " ".join(lines.get(pid, [])) for node in nodes)]
    pid = rest.service(cluster, part)["pid"]
    return [pid] if pid else []


def is_back(
    part: str, victims: list[int], installation: Installation, rest: Rest, cluster: int, airflow: Airflow
) -> bool:
    now = pids(part, installation, rest, cluster)
    if len(now) < len(victims) or set(now) & set(victims):
        return False
    if part not in ("control", "edge", "agent") and rest.service(cluster, part)["state"] != "healthy":
        return False
    return rest.phase("neighbour") == "running" and airflow.ask("GET", "dags").status == 200


def note(part: str, healthy_after: float, done_after: float, tries: dict[str, int]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    seen = {
        "part": part,
        "healthy_after_s": round(healthy_after, 1),
        "run_done_after_s": round(done_after, 1),
        "tries": tries,
    }
    with RESULTS.open("a") as file:
        file.write(json.dumps(seen) + "\n")
