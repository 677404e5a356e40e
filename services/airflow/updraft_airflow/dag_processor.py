"""Airflow's dag-processor, which records a version whole or says that it has not yet.

Airflow notes with each file the version that is live when the parsing of that file *ends*: a file whose parsing began
before a swap would be recorded as the new version with the old one's content. Here such results are thrown away and the
file is parsed again. A new version is looked at as soon as the agent puts it in place, what changed in it first. What
lies in `plugins/` is no DAG file. When every file of a version has been recorded, that is written down for the agent,
and every few seconds which versions unfinished runs still need:

    <root>/notes/parsed.json   {"digest", "at", "dags", "import_errors": [{"file", "line", "message"}]}
    <root>/notes/in-use.json   {"versions": [digest, …]}
"""

from __future__ import annotations

import filecmp
import json
import re
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any

import attrs
from airflow.dag_processing.manager import DagFileInfo, DagFileProcessorManager
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import func, select

from updraft_airflow.bundle import PLUGINS, UpdraftDagBundle
from updraft_airflow.swaps import Swaps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.dag_processing.bundles.base import BaseDagBundle

ARGUMENTS = ("-m", "updraft_airflow.dag_processor")
_IN_USE_SECONDS = 10.0
_MOST_ERRORS = 50
_LONGEST_MESSAGE = 2000


@attrs.define
class Progress:
    """How far a bundle's live version is recorded."""

    version: str
    root: Path
    files: set[Path]
    pending: set[Path]
    # What no import error tells: the process that parsed it was killed.
    killed: dict[Path, str] = attrs.field(factory=dict)
    told: bool = False


@attrs.define
class RecordingManager(DagFileProcessorManager):
    """Parses as Airflow does, and keeps versions apart."""

    _progress: dict[str, Progress] = attrs.field(factory=dict, init=False)
    _persisted: set[tuple[str, str]] = attrs.field(factory=set, init=False)
    _in_use_told: float = attrs.field(default=0.0, init=False)

    def _refresh_dag_bundles(self, known_files: dict[str, set[DagFileInfo]]) -> None:
        super()._refresh_dag_bundles(known_files=known_files)
        for bundle in self._ours():
            version = self._bundle_versions.get(bundle.name)
            now = self._progress.get(bundle.name)
            if version is not None and (now is None or now.version != version):
                self._begin(bundle, version, known_files.get(bundle.name, set()))
            self._tell_if_recorded(bundle)
        self._tell_in_use()

    def load_dag_bundles(self) -> None:
        super().load_dag_bundles()
        for bundle in self._ours():
            try:
                swaps = Swaps(bundle.root)
            except OSError as error:
                self.log.warning("New versions are looked for each second: %s", error)
                continue
            self.selector.register(swaps, EVENT_READ, (partial(self._swapped, bundle.name), self.selector.unregister))

    def _swapped(self, bundle: str, swaps: Swaps) -> bool:
        swaps.forget()
        self._force_refresh_bundles.add(bundle)
        return True

    def _find_files_in_bundle(self, bundle: BaseDagBundle) -> list[Path]:
        found: list[Path] = super()._find_files_in_bundle(bundle)
        is_ours = isinstance(bundle, UpdraftDagBundle)
        return [path for path in found if path.parts[0] != PLUGINS] if is_ours else found

    def _begin(self, bundle: UpdraftDagBundle, version: str, files: set[DagFileInfo]) -> None:
        """All files of the new version are parsed now, and none of the earlier one's any more."""
        names = {file.rel_path for file in files}
        before = self._progress.get(bundle.name)
        self._progress[bundle.name] = Progress(version, bundle.path, names, set(names))
        for file in [file for file in self._file_queue if self._is_outdated(file)]:
            del self._file_queue[file]
        # Each is put in front of the one before it.
        last_first = sorted(files, key=lambda file: (not _is_new(file, before, bundle), file.rel_path), reverse=True)
        self._add_files_to_queue(last_first, mode="front")

    def _is_outdated(self, file: DagFileInfo) -> bool:
        # Callbacks name the version they are for.
        now = self._progress.get(file.bundle_name)
        return now is not None and file.bundle_version is None and file.bundle_path != now.root

    def handle_parsing_result(self, file: DagFileInfo, proc: Any, **kwargs: Any) -> None:
        if self._is_outdated(file):
            self._parse_again(file)
            return
        key = (file.bundle_name, str(file.rel_path))
        self._persisted.discard(key)
        super().handle_parsing_result(file, proc, **kwargs)
        if proc.parsing_result is None and not proc.had_callbacks:
            self._done(file, "the process that parsed this file ended without a result")
        elif key in self._persisted:
            self._done(file)

    def persist_parsing_result(self, *, bundle_name: str, relative_fileloc: str | None, **kwargs: Any) -> None:
        super().persist_parsing_result(bundle_name=bundle_name, relative_fileloc=relative_fileloc, **kwargs)
        if relative_fileloc is not None:
            self._persisted.add((bundle_name, relative_fileloc))

    def _kill_timed_out_processors(self) -> None:
        before = list(self._processors)
        super()._kill_timed_out_processors()
        for file in before:
            if file in self._processors:
                continue
            if self._is_outdated(file):
                self._parse_again(file)
            else:
                self._done(file, f"parsing took longer than {self.processor_timeout:.0f} s and was ended")

    def _parse_again(self, file: DagFileInfo) -> None:
        now = self._progress[file.bundle_name]
        if file.rel_path in now.files:
            fresh = DagFileInfo(rel_path=file.rel_path, bundle_name=file.bundle_name, bundle_path=now.root)
            self._add_files_to_queue([fresh], mode="front")

    def _done(self, file: DagFileInfo, killed: str | None = None) -> None:
        now = self._progress.get(file.bundle_name)
        if now is None or file.bundle_version is not None:
            return
        was_killed = now.killed.pop(file.rel_path, None)
        if killed is not None:
            now.killed[file.rel_path] = killed
        if killed != was_killed:
            now.told = False
        now.pending.discard(file.rel_path)

    def _tell_if_recorded(self, bundle: UpdraftDagBundle) -> None:
        now = self._progress.get(bundle.name)
        if now is None or now.pending or now.told:
            return
        dags = sum(stat.num_dags for file, stat in self._file_stats.items() if file.bundle_name == bundle.name)
        try:
            errors = [*_import_errors(bundle.name, now), *_killed(now)]
            note = {
                "digest": now.version,
                "at": datetime.now(UTC).isoformat(),
                "dags": dags,
                "import_errors": errors[:_MOST_ERRORS],
            }
            _write(bundle.notes / "parsed.json", note)
            now.told = True
        except Exception:
            self.log.exception("That version %s is parsed could not be told", now.version)

    def _tell_in_use(self) -> None:
        bundles = list(self._ours())
        if not bundles or time.monotonic() - self._in_use_told < _IN_USE_SECONDS:
            return
        self._in_use_told = time.monotonic()
        try:
            for bundle in bundles:
                _write(bundle.notes / "in-use.json", {"versions": sorted(_versions_in_use(bundle.name))})
        except Exception:
            self.log.exception("The versions in use could not be told")

    def _ours(self) -> Iterable[UpdraftDagBundle]:
        return (bundle for bundle in self._dag_bundles if isinstance(bundle, UpdraftDagBundle))


def _is_new(file: DagFileInfo, before: Progress | None, bundle: UpdraftDagBundle) -> bool:
    """Whether the version before had it otherwise or not at all."""
    if before is None:
        return False
    try:
        return not filecmp.cmp(before.root / file.rel_path, bundle.path / file.rel_path, shallow=False)
    except OSError:
        return True


def _import_errors(bundle: str, now: Progress) -> list[dict[str, Any]]:
    columns = select(ParseImportError.filename, ParseImportError.stacktrace)
    query = columns.where(ParseImportError.bundle_name == bundle).order_by(ParseImportError.filename)
    with create_session() as session:
        found = session.execute(query.limit(_MOST_ERRORS)).all()
    return [_import_error(str(file), str(trace), now.root) for file, trace in found]


def _import_error(file: str, trace: str, root: Path) -> dict[str, Any]:
    lines = re.findall(rf'File "[^"\n]*{re.escape(file)}", line (\d+)', trace)
    message = trace.replace(f"{root}/", "").strip()[-_LONGEST_MESSAGE:]
    return {"file": file, "line": int(lines[-1]) if lines else None, "message": message}


def _killed(now: Progress) -> list[dict[str, Any]]:
    return [{"file": str(file), "line": None, "message": why} for file, why in sorted(now.killed.items())]


def _versions_in_use(bundle: str) -> set[str]:
    """Of unfinished runs and their tasks, and what the next runs of each DAG will begin with."""
    unfinished = (DagRunState.QUEUED, DagRunState.RUNNING)
    latest = select(DagVersion.dag_id, func.max(DagVersion.version_number).label("number")).group_by(DagVersion.dag_id)
    newest = latest.subquery()
    queries = (
        select(DagRun.bundle_version).where(DagRun.state.in_(unfinished)).distinct(),
        select(DagVersion.bundle_version)
        .join(TaskInstance, TaskInstance.dag_version_id == DagVersion.id)
        .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
        .where(DagRun.state.in_(unfinished))
        .distinct(),
        select(DagModel.bundle_version).where(DagModel.bundle_name == bundle, DagModel.is_stale.is_(False)).distinct(),
        select(DagVersion.bundle_version)
        .join(newest, (newest.c.dag_id == DagVersion.dag_id) & (newest.c.number == DagVersion.version_number))
        .join(DagModel, DagModel.dag_id == DagVersion.dag_id)
        .where(DagModel.is_stale.is_(False))
        .distinct(),
    )
    with create_session() as session:
        return {str(version) for query in queries for version in session.scalars(query) if version}


def _write(path: Path, note: dict[str, Any]) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(note))
    fresh.replace(path)


def main() -> None:
    """`airflow dag-processor`, with our manager."""
    from airflow.__main__ import main as airflow
    from airflow.cli.commands import dag_processor_command

    vars(dag_processor_command)["DagFileProcessorManager"] = RecordingManager
    sys.argv = ["airflow", "dag-processor"]
    airflow()


if __name__ == "__main__":
    main()
