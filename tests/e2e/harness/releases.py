"""Two releases of Updraft that take turns in one file, from which one installation runs: an upgrade in place.

What is started from then on is of the other release, and what runs goes on as it was. So agents or an edge of one
release come under control of another: they are killed, and their supervisor starts them again, from the same path.
"""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import processes
from .installation import Installation, free_port_base
from .waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

# What control says of a database that a newer one migrated; the second is sqlx's own word, before there was another.
MIGRATED = ("migrated by a newer release", "previously applied but is missing in the resolved migrations")


@dataclass
class Releases:
    place: Path
    older: Path
    newer: Path
    installation: Installation

    @classmethod
    def at(cls, place: Path, older: Path, newer: Path) -> Releases:
        """Copies: a build that goes on beside the test changes nothing here."""
        this = cls(
            place,
            older=place / "older" / "updraft",
            newer=place / "newer" / "updraft",
            installation=Installation(place / "data", free_port_base(), place / "updraft"),
        )
        for copy, program in ((this.older, older), (this.newer, newer)):
            copy.parent.mkdir()
            shutil.copy(program, copy)
        return this

    def install(self, release: Path) -> None:
        program = self.installation.binary
        # Between two names of one file `rename` does nothing.
        if program.exists() and program.samefile(release):
            return
        aside = self.place / "updraft.new"
        os.link(release, aside)
        aside.replace(program)

    # === what runs ===

    def running(self, part: str) -> list[int]:
        """Those of `control`, `edge` or `agent`. What ships the logs of a node that is gone is none of them."""
        lines = processes.command_lines()
        found = processes.updraft(part, self.installation.data_dir)
        return [pid for pid in found if "--remains" not in lines.get(pid, [])]

    def all_of(self, part: str, release: Path) -> bool:
        found = self.running(part)
        return bool(found) and all(processes.runs(pid, release) for pid in found)

    # === what happens ===

    def replace(self, part: str, release: Path) -> None:
        """Kills it; whoever supervises it starts the other release's."""
        self.install(release)
        victims = self.running(part)
        assert victims, f"no process of {part} was found"
        for victim in victims:
            processes.kill(victim)

        def is_replaced() -> bool:
            now = self.running(part)
            return len(now) >= len(victims) and not set(now) & set(victims) and self.all_of(part, release)

        wait_for(f"{part} is the other release's", is_replaced, 90)

    def kill_control(self) -> None:
        """`up` first, or it would start control again. Databases, storage, edge, agents and services go on."""
        self.installation.kill()
        for pid in self.running("control"):
            processes.kill(pid, signal.SIGKILL)

    def up(self, release: Path) -> None:
        self.install(release)
        self.installation.up()

    def refusal(self, release: Path) -> str:
        """What `up` says when it does not come up; nothing when it does."""
        try:
            self.up(release)
        except AssertionError:
            assert not self.installation.running(), self.installation.output()[-3000:]
            return self.installation.output()
        return ""

    def end(self) -> None:
        if self.installation.running():
            self.installation.interrupt()
        elif self.installation.data_dir.exists():
            self.installation.cli("down", "--data-dir", str(self.installation.data_dir))
