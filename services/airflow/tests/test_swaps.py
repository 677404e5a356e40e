"""A new version is noticed when it comes, and what changed in it is parsed first."""

from __future__ import annotations

import selectors
from pathlib import Path

from airflow.dag_processing.manager import DagFileInfo

from updraft_airflow.bundle import UpdraftDagBundle
from updraft_airflow.dag_processor import Progress, RecordingManager
from updraft_airflow.swaps import Swaps


def test_a_replaced_file_wakes_and_what_is_written_below_does_not(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    swaps = Swaps(tmp_path)
    with selectors.DefaultSelector() as selector:
        selector.register(swaps, selectors.EVENT_READ)
        (tmp_path / "notes" / "parsed.json").write_text("{}")
        assert selector.select(timeout=0) == []
        (tmp_path / "next").write_text("v2")
        (tmp_path / "next").replace(tmp_path / "current")
        assert len(selector.select(timeout=0)) == 1
        swaps.forget()
        assert selector.select(timeout=0) == []
    swaps.close()


def test_what_a_version_changed_is_parsed_before_the_rest(tmp_path: Path) -> None:
    before, live = tmp_path / "versions" / "v1", tmp_path / "versions" / "v2"
    for root, changed in ((before, "1"), (live, "2")):
        root.mkdir(parents=True)
        for name in ("a.py", "b.py", "c.py"):
            (root / name).write_text(changed if name == "c.py" else name)
    (live / "added.py").write_text("new")
    (tmp_path / "current").write_text("v2")
    manager = RecordingManager(max_runs=1)
    manager._progress["dags"] = Progress("v1", before, set(), set())
    files = {DagFileInfo(rel_path=Path(file.name), bundle_name="dags", bundle_path=live) for file in live.iterdir()}
    bundle = UpdraftDagBundle(name="dags", root=str(tmp_path))
    manager._begin(bundle, "v2", files)
    assert [str(file.rel_path) for file in manager._file_queue] == ["added.py", "c.py", "a.py", "b.py"]
