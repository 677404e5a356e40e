"""What a hostile DAG would try: its run's `conf` names targets, its result says which were reached."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import dag, get_current_context, task


def connects(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def readable(path: str) -> bool:
    try:
        target = Path(path)
        if target.is_dir():
            return bool(list(target.iterdir()) or True)
        target.read_bytes()
        return True
    except OSError:
        return False


def writable(path: str) -> bool:
    try:
        probe = Path(path) / "intruder-was-here"
        probe.write_text("x")
        probe.unlink()
        return True
    except OSError:
        return False


def signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return True
    except OSError:
        return False


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def intruder() -> None:
    @task
    def probe() -> dict[str, Any]:
        targets = get_current_context()["dag_run"].conf or {}
        return {
            "user": getpass.getuser(),
            "connected": [one for one in targets["sockets"] if connects(one[0], one[1])],
            "read": [one for one in targets["paths"] if readable(one)],
            "written": [one for one in targets["paths"] if writable(one)],
            "signalled": [one for one in targets["pids"] if signals(one)],
            "environments": [one for one in targets["pids"] if readable(f"/proc/{one}/environ")],
            "secrets": sorted(name for name in os.environ if "SQL_ALCHEMY" in name or "FERNET" in name),
        }

    probe()


intruder()
