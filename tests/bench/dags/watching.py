"""Who follows a source, and when it had what: pushes are numbered, and whoever shows a number has all before it."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBER = re.compile(r"push-(\d+)-")
EVERY = 0.03


@dataclass
class Pushes:
    """Pushes are numbered, and each changes another of the files: by default Airflow records no DAG twice in 30 s."""

    files: int
    number: int = 0

    def next(self) -> int:
        self.number += 1
        return self.number

    def name(self, number: int) -> str:
        return f"probe_{number % self.files}"

    def in_directory(self, directory: Path, seen: int) -> int:
        """The newest push of which the files tell, if it is newer than what was seen."""
        for number in range(self.number, seen, -1):
            if number_in(directory / f"{self.name(number)}.py") >= number:
                return number
        return seen


class Watcher(threading.Thread):
    """Notes when a number was first seen; `look` is told what was."""

    def __init__(self, look: Callable[[int], int]) -> None:
        super().__init__(daemon=True)
        self.look, self.ended = look, threading.Event()
        self.seen: list[tuple[int, float]] = [(0, 0.0)]
        self.start()

    def run(self) -> None:
        while not self.ended.wait(EVERY):
            number = self.look(self.latest)
            if number > self.latest:
                self.seen.append((number, time.monotonic()))

    @property
    def latest(self) -> int:
        return self.seen[-1][0]

    def lags(self, pushes: dict[int, float]) -> list[float]:
        """Of the pushes that came, in seconds; what was overtaken came with what overtook it."""
        first = {number: next((at for seen, at in self.seen if seen >= number), None) for number in pushes}
        return [at - pushes[number] for number, at in first.items() if at is not None]


@dataclass
class Follower:
    name: str
    disk: Watcher
    parsed: Watcher
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def end(self) -> None:
        for watcher in (self.disk, self.parsed):
            watcher.ended.set()
            watcher.join()
        for process in self.processes:
            os.killpg(process.pid, 15)
        for process in self.processes:
            process.wait(60)


class Database:
    """Airflow's, by one psql for all questions: a connection for each would cost more than what is measured."""

    def __init__(self, psql: Path, server: str, name: str) -> None:
        url = urlsplit(server)
        host = f"{url.username}@{url.hostname}:{url.port}"
        self.url = urlunsplit(url._replace(path=f"/{name}"))
        self.process = subprocess.Popen(
            [str(psql), "-XAtq", urlunsplit(url._replace(netloc=host, path=f"/{name}"))],
            env={**os.environ, "PGPASSWORD": url.password or ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, sql: str) -> list[str]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{sql};\n\\echo --\n")
        self.process.stdin.flush()
        return list(iter(lambda: self.line(), "--"))

    def line(self) -> str:
        assert self.process.stdout
        text = self.process.stdout.readline()
        assert text, "psql ended"
        return text.rstrip("\n")

    def recorded(self, _seen: int = 0) -> int:
        """The newest push of which Airflow has the serialized DAG."""
        number = "max(substring(data::text from 'push-([0-9]+)-')::int)"
        return int(self.ask(f"select coalesce({number}, 0) from serialized_dag where dag_id like 'probe%'")[0])


def number_in(file: Path) -> int:
    try:
        found = NUMBER.search(file.read_text())
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def quantiles(lags: list[float]) -> tuple[float, float]:
    """p50 and p95."""
    if len(lags) < 2:
        return (lags or [float("nan")])[0], (lags or [float("nan")])[0]
    return statistics.median(lags), statistics.quantiles(lags, n=20, method="inclusive")[18]
