"""Processes of one installation, found by what their command line says."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .waiting import wait_for


def command_lines() -> dict[int, list[str]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found[int(entry.name)] = [word.decode(errors="replace") for word in words if word]
    return found


def updraft(verb: str, data_dir: Path) -> list[int]:
    """Pids of `updraft <verb> …` that work in this data directory."""
    return [
        pid
        for pid, words in command_lines().items()
        if len(words) > 2
        and Path(words[0]).name.startswith("updraft")
        and words[1] == verb
        and str(data_dir) in " ".join(words)
    ]


def postgres(data_dir: Path, name: str) -> int:
    """The postmaster of one of the two servers."""
    for pidfile in (data_dir / "postgres" / name).glob("**/postmaster.pid"):
        return int(pidfile.read_text().splitlines()[0])
    raise AssertionError(f"Postgres `{name}` does not run")


def runs(pid: int, program: Path) -> bool:
    """Whether it is this very file that it runs, wherever its path leads by now."""
    try:
        return Path(f"/proc/{pid}/exe").samefile(program)
    except OSError:
        return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid, how)
    if how is signal.SIGKILL:
        wait_for(f"process {pid} is gone", lambda: not alive(pid), 10, every=0.02)


def left_over(data_dir: Path) -> dict[int, str]:
    """Everything that still works in the data directory."""
    lines = {pid: " ".join(words) for pid, words in command_lines().items()}
    return {pid: line for pid, line in lines.items() if str(data_dir) in line and "pytest" not in line}
