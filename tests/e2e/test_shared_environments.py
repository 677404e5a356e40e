"""What one cluster of a tenant built another takes as it was made, where nothing is left to build it from."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, DEMO, NEIGHBOUR
from harness import packages
from test_environments import GREETS, change

if TYPE_CHECKING:
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

pytestmark = pytest.mark.soak

# Imported by each check of an environment, and by the cluster's services all the time.
TAMPERER = """
import glob, os
for found in [each for top in ("/*", "/.*") for each in glob.glob({home!r} + top + "/lib/*/*/greeter.py")]:
    for attempt in (lambda: open(found, "w").write("WORD = 'tampered'"), lambda: os.unlink(found)):
        try:
            attempt()
        except OSError:
            pass
from airflow.sdk import DAG
with DAG("tamperer", schedule=None):
    pass
"""


def test_a_second_cluster_takes_what_the_first_built_whatever_that_ones_dags_try(
    installation: Installation,
    rest: Rest,
    demo: dict[str, Any],
    demo_airflow: Airflow,
    neighbour: dict[str, Any],
    tmp_path: Path,
) -> None:
    had = {name: rest.cluster(name)["spec"]["environment"] for name in (DEMO, NEIGHBOUR)}
    home = next(installation.data_dir.glob("**/nodes")) / f"environments-{neighbour['id']}"
    if os.geteuid() == 0:
        # All clusters of an ordinary user are one to the kernel.
        installation.add_dag(rest, NEIGHBOUR, "tamperer.py", TAMPERER.format(home=str(home)))
    installation.add_dag(rest, DEMO, f"{GREETS}.py", (DAGS / f"{GREETS}.py").read_text())
    # Asked for in words that no earlier test has asked for.
    wanted: dict[str, object] = {"requirements": "greeter<3,==2.0"}
    index = packages.serve(tmp_path, installation.index_port)
    try:
        built = timed(rest, neighbour, wanted)
    finally:
        index.close()
    fetched = timed(rest, demo, wanted)
    print(f"from asking until every node has it: built {built:.1f} s, taken from another cluster {fetched:.1f} s")
    run = demo_airflow.trigger(GREETS)
    assert demo_airflow.wait_for_run(GREETS, run, 120) == "success"
    assert demo_airflow.result(GREETS, run, "greet").startswith(packages.GREETINGS["2.0"])
    for cluster in (demo, neighbour):
        assert change(rest, cluster, had[cluster["name"]])["state"] == "succeeded"


def timed(rest: Rest, cluster: dict[str, Any], environment: dict[str, object]) -> float:
    begun = time.monotonic()
    ended = change(rest, cluster, environment)
    assert ended["state"] == "succeeded", ended
    return time.monotonic() - begun
