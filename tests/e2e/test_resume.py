"""Ends of `updraft up`: Ctrl-C, `down`, kill -9; each time the next one goes on where it stopped."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from harness import processes
from harness.waiting import wait_for

if TYPE_CHECKING:
    from harness.airflow import Airflow
    from harness.installation import Installation


def test_ctrl_c_stops_everything_and_the_next_up_resumes(installation: Installation, demo_airflow: Airflow) -> None:
    runs = {run["dag_run_id"] for run in demo_airflow.runs("hello_updraft")}
    assert installation.interrupt() == 0, installation.output()[-3000:]
    wait_for("nothing of it runs", lambda: not processes.left_over(installation.data_dir), 20)
    installation.up(seconds=300)
    resumed = installation.rest()
    resumed.wait_for_phase("demo", "running")
    assert installation.password not in installation.output(), "the password is printed once"
    airflow = installation.airflow(resumed.cluster("demo")["id"], resumed)
    assert {run["dag_run_id"] for run in airflow.runs("hello_updraft")} >= runs


def test_up_after_kill_repairs_what_was_left(installation: Installation) -> None:
    installation.kill()
    installation.up(seconds=300)
    installation.rest().wait_for_phase("demo", "running")
    controls = processes.updraft("control", installation.data_dir)
    assert len(controls) == 1, controls


def test_an_up_that_fails_ends_nothing_of_what_was_left(installation: Installation) -> None:
    installation.kill()
    for pid in processes.updraft("control", installation.data_dir):
        processes.kill(pid)
    agents = processes.updraft("agent", installation.data_dir)
    with socket.create_server(("127.0.0.1", installation.port_base)):
        other = installation.cli(
            "up", "--data-dir", str(installation.data_dir), "--port-base", str(installation.port_base), "--yes"
        )
    assert other.code != 0 and "`updraft down` stops it" in other.err, other.err
    assert agents and all(processes.alive(pid) for pid in agents), "tasks may run there"
    installation.up(seconds=300)
    installation.rest().wait_for_phase("demo", "running")


def test_a_second_up_at_the_same_time_is_refused(installation: Installation) -> None:
    other = installation.cli(
        "up", "--data-dir", str(installation.data_dir), "--port-base", str(installation.port_base), "--yes"
    )
    assert other.code != 0 and "error" in other.err.lower(), other.err
    assert installation.running()


def test_down_from_another_terminal_stops_everything(installation: Installation) -> None:
    done = installation.cli("down", "--data-dir", str(installation.data_dir))
    assert done.code == 0, done.err
    assert installation.process is not None and installation.process.wait(120) == 0
    wait_for("nothing of it runs", lambda: not processes.left_over(installation.data_dir), 20)
    again = installation.cli("down", "--data-dir", str(installation.data_dir))
    assert again.code == 0, f"nothing to stop is no error: {again.err}"
    installation.up(seconds=300)
