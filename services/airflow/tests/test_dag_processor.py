"""Receipts and versions kept apart, with Airflow's real dag-processor."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import harness
from conftest import DAG

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cluster

# What a DAG file says it is when it is parsed, and what a module beside it says a moment later.
PIECE = """
import datetime, time
time.sleep({pause})
from piece_of_{number} import MARK
from airflow.sdk import DAG
with DAG("piece_{number}", schedule=None, tags=["file-{version}", "module-" + MARK]):
    pass
"""


def note(cluster: Cluster, name: str) -> dict[str, Any]:
    path: Path = cluster.directory / "dags" / "notes" / name
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def receipt(cluster: Cluster, version: str) -> dict[str, Any]:
    harness.wait_for(f"the receipt of {version}", lambda: note(cluster, "parsed.json").get("digest") == version, 60)
    return note(cluster, "parsed.json")


def publish(cluster: Cluster, version: str, files: dict[str, str]) -> None:
    harness.publish_dags(cluster.directory / "dags", version, {"demo.py": DAG.replace("VERSION", version), **files})


def test_a_receipt_names_the_errors_with_file_and_line(cluster: Cluster) -> None:
    publish(
        cluster,
        "r1",
        {
            "team/broken.py": "from airflow.sdk import DAG\n\nraise ValueError('told')\n",
            "no_dag.py": "DAG = 'airflow'",
            "plugins/no_dag.py": "raise ValueError('a plugin is no DAG file of airflow')",
        },
    )
    began = time.monotonic()
    told = receipt(cluster, "r1")
    assert time.monotonic() - began < 15
    assert told["dags"] == 1
    (error,) = told["import_errors"]
    assert (error["file"], error["line"]) == ("team/broken.py", 3)
    assert "ValueError: told" in error["message"]
    assert str(cluster.directory) not in error["message"]
    publish(cluster, "v1", {})
    assert receipt(cluster, "v1")["import_errors"] == []


def test_a_version_in_use_is_told(cluster: Cluster) -> None:
    receipt(cluster, note(cluster, "parsed.json").get("digest") or "v1")
    live = (cluster.directory / "dags" / "current").read_text().strip()
    harness.wait_for("the versions in use", lambda: live in note(cluster, "in-use.json").get("versions", []), 30)


def test_no_file_is_recorded_as_a_version_that_it_was_not(cluster: Cluster) -> None:
    def pieces(version: str) -> dict[str, str]:
        files = {f"piece_{number}.py": PIECE.format(number=number, version=version, pause=0.4) for number in range(6)}
        return files | {f"piece_of_{number}.py": f"MARK = '{version}'" for number in range(6)}

    # Each swap comes while files of the one before are being parsed.
    for number in range(8):
        publish(cluster, f"s{number}", pieces(f"s{number}"))
        time.sleep(0.7)
    told = receipt(cluster, "s7")
    assert told["import_errors"] == []
    _, text = cluster.call("/api/v2/dags?limit=100&tags=file-s7")
    recorded = {dag["dag_id"]: {tag["name"] for tag in dag["tags"]} for dag in json.loads(text)["dags"]}
    assert recorded == {f"piece_{number}": {"file-s7", "module-s7"} for number in range(6)}
    publish(cluster, "v1", {})
    receipt(cluster, "v1")
