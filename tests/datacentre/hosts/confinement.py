"""The control groups of one host: its systemd has a tree of its own in each hierarchy, held or ended as a whole."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# Microseconds.
_PERIOD = 100_000


class Confinement:
    def __init__(self, name: str) -> None:
        self._groups = [hierarchy / name for hierarchy in _hierarchies()]
        self.held = False

    def make(self) -> None:
        for group in self._groups:
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (group / setting).exists():
                    (group / setting).write_text((group.parent / setting).read_text())

    def entering(self) -> str:
        """What a shell does to be in it."""
        return "".join(f"echo $$ >{group}/cgroup.procs\n" for group in self._groups)

    def hold(self, held: bool) -> None:
        """Nothing in it goes on, and nothing in it notices."""
        self.held = held
        for group in self._groups:
            if (group / "freezer.state").exists():
                (group / "freezer.state").write_text("FROZEN" if held else "THAWED")
                return
            if (group / "cgroup.freeze").exists() and len(self._groups) == 1:
                (group / "cgroup.freeze").write_text("1" if held else "0")
                return
        raise OSError("this machine has no freezer of control groups")

    def share(self, cores: float | None) -> None:
        """All of it together gets so much of a core and no more; none: as much as there is."""
        for group in self._groups:
            quota = -1 if cores is None else int(cores * _PERIOD)
            if (group / "cpu.cfs_quota_us").exists():
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
                return
            if (group / "cpu.max").exists():
                (group / "cpu.max").write_text(f"{'max' if cores is None else quota} {_PERIOD}")
                return
        raise OSError("this machine has no control group that shares the processor")

    def end(self) -> None:
        """As if the power went."""
        self.hold(False)
        for _ in range(100):
            inside = self._processes()
            if not inside:
                return
            for pid in inside:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        raise OSError(f"processes that do not end: {sorted(self._processes())}")

    def remove(self) -> None:
        self.end()
        for group in self._groups:
            for inner in sorted(group.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
                inner.rmdir()
            group.rmdir()

    def _processes(self) -> set[int]:
        found: set[int] = set()
        for group in self._groups:
            for listed in (group / "cgroup.procs", *group.rglob("cgroup.procs")):
                with suppress(OSError):
                    found |= {int(pid) for pid in listed.read_text().split()}
        return found


def left_over(prefix: str) -> set[str]:
    return {group.name for hierarchy in _hierarchies() for group in hierarchy.glob(f"{prefix}*") if group.is_dir()}


def _hierarchies() -> list[Path]:
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    # Mounted ones: a directory that somebody made beside them holds nobody.
    return [entry for entry in ROOT.iterdir() if not entry.is_symlink() and (entry / "cgroup.procs").exists()]
