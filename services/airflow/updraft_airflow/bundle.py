"""DAG versions as Airflow's versioned bundle.

The agent delivers immutable directories; this bundle only reads them:

    <root>/current              text: the digest of the live version, replaced by rename
    <root>/versions/<digest>/   the files of a version
    <root>/wanted/<digest>      written here when a run is pinned to a version the node does not have yet
    <root>/notes/               written by the dag-processor: what it has recorded (see `dag_processor`)

A task runs with the version its run began with, so a version in use must stay until the agent knows it is not. Nothing
is downloaded, written or deleted here.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

PLUGINS = "plugins"
"""This folder of a version is loaded as plugins, from the cluster's environment, and holds no DAGs."""
WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.1
_DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class DagVersionMissing(Exception):
    """The version a run is pinned to did not reach this node."""


class UpdraftDagBundle(BaseDagBundle):
    """One DAG source of a cluster.

    :param root: the directory that the agent and this bundle agree on
    :param wait_seconds: how long the agent may take to deliver a version
    """

    supports_versioning = True

    def __init__(self, *, root: str, wait_seconds: float = WAIT_SECONDS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._root = Path(root)
        self._wait_seconds = wait_seconds
        self._digest: str | None = _checked(self.version) if self.version else None

    def initialize(self) -> None:
        if self._digest is None:
            self.refresh()
        else:
            self._await_version(self._digest)
        super().initialize()

    def refresh(self) -> None:
        """Moves on to the live version. A pinned bundle stays where it is."""
        if self.version is None:
            live = self._live_digest()
            self._await_version(live)
            self._digest = live

    def get_current_version(self) -> BundleVersion:
        return BundleVersion(version=self._digest or self._live_digest())

    @property
    def path(self) -> Path:
        return self._directory(self._digest or self._live_digest())

    @property
    def root(self) -> Path:
        return self._root

    @property
    def notes(self) -> Path:
        """Where the dag-processor writes for the agent."""
        return self._root / "notes"

    def _live_digest(self) -> str:
        current = self._root / "current"
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                return _checked(current.read_text().strip())
            except FileNotFoundError:
                if time.monotonic() >= deadline:
                    raise DagVersionMissing(
                        f"No DAG version reached this node within {self._wait_seconds:.0f} s: {current} is missing. "
                        "Look at the DAG source's state in Updraft."
                    ) from None
                time.sleep(_POLL_SECONDS)

    def _await_version(self, digest: str) -> None:
        directory = self._directory(digest)
        if directory.is_dir():
            return
        (self._root / "wanted" / digest).touch()
        deadline = time.monotonic() + self._wait_seconds
        while not directory.is_dir():
            if time.monotonic() >= deadline:
                raise DagVersionMissing(
                    f"DAG version {digest} did not reach this node within {self._wait_seconds:.0f} s. "
                    "Clear the run with its latest version, or look at the DAG source's state in Updraft."
                )
            time.sleep(_POLL_SECONDS)

    def _directory(self, digest: str) -> Path:
        return self._root / "versions" / digest


def _checked(digest: str) -> str:
    """A digest becomes a path: nothing but a plain name is taken."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no DAG version")
    return digest
