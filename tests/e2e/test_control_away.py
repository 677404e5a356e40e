"""Control and its database away: Airflow's pages and runs go on (static stability)."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS
from harness import processes

if TYPE_CHECKING:
    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest


@pytest.mark.parametrize("seconds", [20, pytest.param(600, marks=pytest.mark.soak)])
def test_runs_and_pages_go_on_without_control(
    seconds: int, installation: Installation, rest: Rest, demo: dict[str, Any], demo_airflow: Airflow
) -> None:
    installation.add_dag(rest, "demo", "steady.py", (DAGS / "steady.py").read_text())
    warm = demo_airflow.trigger("steady")
    assert demo_airflow.wait_for_run("steady", warm) == "success"
    # Frozen, not killed: a supervisor would start killed ones again. Nothing frozen answers anybody.
    frozen = [
        *processes.updraft("control", installation.data_dir),
        processes.postgres(installation.data_dir, "control"),
    ]
    try:
        for pid in frozen:
            processes.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + seconds
        while True:
            run = demo_airflow.trigger("steady")
            assert demo_airflow.wait_for_run("steady", run) == "success"
            assert demo_airflow.web.get(f"{demo_airflow.url}/").status == 200
            if time.monotonic() > deadline:
                break
    finally:
        for pid in reversed(frozen):
            processes.kill(pid, signal.SIGCONT)
    rest.wait_for_phase("demo", "running", 60)
