"""A cluster whose disk is gone fetches its environment from its bucket, where nothing is left to build it from."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, NEIGHBOUR
from harness import packages
from test_environments import GREETS, change

if TYPE_CHECKING:
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

pytestmark = pytest.mark.soak


def test_an_environment_is_fetched_where_its_disk_is_gone(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], neighbour_airflow: Airflow, tmp_path: Path
) -> None:
    had = rest.cluster(NEIGHBOUR)["spec"]["environment"]
    index = packages.serve(tmp_path, installation.index_port)
    try:
        ended = change(rest, neighbour, {"requirements": "greeter==2.0"})
        assert ended["state"] == "succeeded", ended
        installation.add_dag(rest, NEIGHBOUR, f"{GREETS}.py", (DAGS / f"{GREETS}.py").read_text())
    finally:
        index.close()
    rest.post(f"clusters/{neighbour['id']}/stop")
    rest.wait_for_phase(NEIGHBOUR, "stopped")
    (home,) = installation.data_dir.glob(f"**/environments-{neighbour['id']}")
    shutil.rmtree(home)
    rest.post(f"clusters/{neighbour['id']}/start")
    rest.wait_for_phase(NEIGHBOUR, "running")
    run = neighbour_airflow.trigger(GREETS)
    assert neighbour_airflow.wait_for_run(GREETS, run, 120) == "success"
    assert neighbour_airflow.result(GREETS, run, "greet").startswith(packages.GREETINGS["2.0"])
    assert change(rest, neighbour, had)["state"] == "succeeded"
