"""From inside a DAG: a cluster's processes reach no other cluster, nor Updraft's own inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS

if TYPE_CHECKING:
    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

pytestmark = pytest.mark.root_only

PORTS = {"scheduler": [6379, 8974, 7443], "web": [8080, 7443], "worker": [7443]}


def test_a_dag_reaches_nothing_that_is_not_its_clusters(
    installation: Installation, rest: Rest, demo: dict[str, Any], neighbour: dict[str, Any], neighbour_airflow: Airflow
) -> None:
    installation.add_dag(rest, "neighbour", "intruder.py", (DAGS / "intruder.py").read_text())
    foreign = targets(installation, rest, demo["id"])
    own_broker = address(rest, neighbour["id"], "worker"), 6379
    foreign["sockets"].append(list(own_broker))

    run = neighbour_airflow.trigger("intruder", foreign)
    assert neighbour_airflow.wait_for_run("intruder", run) == "success"
    seen = neighbour_airflow.result("intruder", run, "probe")

    assert seen["user"].startswith("updraft-")
    assert seen["user"].endswith(f"-c{neighbour['id']}")
    assert seen["connected"] == [list(own_broker)], "its own broker through the relay, and nothing else"
    assert (seen["read"], seen["written"]) == ([], [])
    assert (seen["signalled"], seen["environments"]) == ([], [])
    assert "AIRFLOW__CORE__FERNET_KEY" not in seen["secrets"]


def targets(installation: Installation, rest: Rest, cluster: int) -> dict[str, Any]:
    """Everything of the other cluster and of Updraft itself that exists right now."""
    nodes = rest.items(f"clusters/{cluster}/nodes")
    sockets = [[node["address"], port] for node in nodes for port in PORTS[node["role"]]]
    # What a cloud tells its machines.
    sockets.append(["169.254.169.254", 80])
    # Internal listener, control's Postgres; the metadata Postgres and S3 are shared and guarded by credentials.
    sockets += [["127.0.0.1", installation.port_base + offset] for offset in (2, 3)]
    root = installation.data_dir
    inside = [root / "secrets", root / "run", root / "logs", root / "s3", root / "postgres" / "control", root / "cache"]
    paths = [path for path in inside if path.exists()]
    for node in nodes:
        paths += list(root.glob(f"nodes/*{node['id']}*"))
    pids = [service["pid"] for service in rest.items(f"clusters/{cluster}/services") if service["pid"]]
    assert sockets and paths and pids
    return {"sockets": sockets, "paths": [str(path) for path in paths], "pids": pids}


def address(rest: Rest, cluster: int, role: str) -> str:
    return str(next(node["address"] for node in rest.items(f"clusters/{cluster}/nodes") if node["role"] == role))
