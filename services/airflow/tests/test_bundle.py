"""DAG versions: what a run sees, and how soon a new one is parsed."""

from __future__ import annotations

import json
import subprocess
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import harness
import pytest
from conftest import DAG

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cluster


def in_airflow(environment: Path, home: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code where Airflow is installed, without a cluster."""
    # Bytecode beside what the binary embeds would have it built again.
    env = {"AIRFLOW_HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    prelude = "import sys\nfrom updraft_airflow.bundle import UpdraftDagBundle, DagVersionMissing\n"
    return subprocess.run(
        [environment / "bin/python", "-c", prelude + textwrap.dedent(code), *arguments],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_live_version_is_followed_and_a_pinned_one_kept(environment: Path, tmp_path: Path) -> None:
    root = tmp_path / "dags"
    harness.publish_dags(root, "one", {"a.py": "1"})
    harness.publish_dags(root, "two", {"a.py": "2"})
    code = """
        root = sys.argv[1]
        live = UpdraftDagBundle(name="b", root=root); live.initialize()
        pinned = UpdraftDagBundle(name="b", root=root, version="one"); pinned.initialize()
        pinned.refresh()
        print(live.get_current_version().version, live.path, pinned.get_current_version().version, pinned.path)
    """
    done = in_airflow(environment, tmp_path, code, str(root))
    assert done.stdout.split() == ["two", f"{root}/versions/two", "one", f"{root}/versions/one"], done.stderr


def test_a_live_bundle_changes_only_when_refreshed(environment: Path, tmp_path: Path) -> None:
    root = tmp_path / "dags"
    harness.publish_dags(root, "one", {"a.py": "1"})
    code = """
        from pathlib import Path
        root = Path(sys.argv[1])
        live = UpdraftDagBundle(name="b", root=str(root)); live.initialize()
        (root / "versions/two").mkdir(); (root / "current").write_text("two\\n")
        print(live.get_current_version().version); live.refresh(); print(live.get_current_version().version)
    """
    done = in_airflow(environment, tmp_path, code, str(root))
    assert done.stdout.split() == ["one", "two"], done.stderr


def test_a_missing_version_is_asked_for_and_awaited(environment: Path, tmp_path: Path) -> None:
    root = tmp_path / "dags"
    harness.publish_dags(root, "one", {"a.py": "1"})

    def deliver() -> None:
        harness.wait_for("the wish", (root / "wanted" / "late").exists)
        (root / "versions" / "late").mkdir()

    agent = threading.Thread(target=deliver)
    agent.start()
    code = 'b = UpdraftDagBundle(name="b", root=sys.argv[1], version="late"); b.initialize(); print(b.path)'
    done = in_airflow(environment, tmp_path, code, str(root))
    agent.join()
    assert done.stdout.strip() == f"{root}/versions/late", done.stderr


def test_a_version_that_never_comes_fails_clearly(environment: Path, tmp_path: Path) -> None:
    root = tmp_path / "dags"
    harness.publish_dags(root, "one", {"a.py": "1"})
    code = 'UpdraftDagBundle(name="b", root=sys.argv[1], version="never", wait_seconds=0.3).initialize()'
    done = in_airflow(environment, tmp_path, code, str(root))
    assert "DAG version never did not reach this node within" in done.stderr


@pytest.mark.parametrize("digest", ["../one", "one/../../x", ".hidden", "", "a" * 200])
def test_nothing_but_a_plain_name_is_a_version(environment: Path, tmp_path: Path, digest: str) -> None:
    root = tmp_path / "dags"
    harness.publish_dags(root, "one", {"a.py": "1"})
    (root / "current").write_text(digest)
    done = in_airflow(environment, tmp_path, 'UpdraftDagBundle(name="b", root=sys.argv[1]).initialize()', str(root))
    assert "is no DAG version" in done.stderr


def wait_for_version(cluster: Cluster, version: str, dag: str = "demo") -> float:
    began = time.monotonic()

    def parsed() -> bool:
        code, text = cluster.call(f"/api/v2/dags/{dag}")
        return code == 200 and json.loads(text)["bundle_version"] == version

    harness.wait_for(f"version {version} to be parsed", parsed, 90)
    return time.monotonic() - began


def run(cluster: Cluster) -> tuple[str, str]:
    """Runs the DAG; the version it was pinned to and what its task returned."""
    code, text = cluster.call("/api/v2/dags/demo/dagRuns", "user", "POST", {"logical_date": None})
    assert code == 200, text
    path = f"/api/v2/dags/demo/dagRuns/{json.loads(text)['dag_run_id']}"
    harness.wait_for("the run", lambda: json.loads(cluster.call(path)[1])["state"] == "success")
    value = json.loads(cluster.call(f"{path}/taskInstances/hello/xcomEntries/return_value")[1])["value"]
    return json.loads(cluster.call(path)[1])["bundle_version"], value


def test_a_new_version_is_parsed_within_seconds_and_old_runs_keep_theirs(cluster: Cluster) -> None:
    assert run(cluster) == ("v1", "v1")
    _, text = cluster.call("/api/v2/dags/demo/dagRuns", "user", "POST", {"logical_date": None})
    old = json.loads(text)["dag_run_id"]
    path = f"/api/v2/dags/demo/dagRuns/{old}"
    harness.wait_for("the run", lambda: json.loads(cluster.call(path)[1])["state"] == "success")

    harness.publish_dags(cluster.directory / "dags", "v2", {"demo.py": DAG.replace("VERSION", "v2")})
    seconds = wait_for_version(cluster, "v2")
    assert seconds < 8, f"a changed file waited {seconds:.1f} s"
    assert run(cluster) == ("v2", "v2")

    assert cluster.call(f"{path}/clear", "user", "POST", {"dry_run": False})[0] == 200
    harness.wait_for("the run again", lambda: json.loads(cluster.call(path)[1])["state"] == "success")
    value = json.loads(cluster.call(f"{path}/taskInstances/hello/xcomEntries/return_value")[1])["value"]
    assert value == "v1", "a cleared run keeps the version it was made with"

    harness.publish_dags(cluster.directory / "dags", "v1", {"demo.py": DAG.replace("VERSION", "v1")})
    seconds = wait_for_version(cluster, "v1")
    assert seconds < 8, f"a rollback waited {seconds:.1f} s"
