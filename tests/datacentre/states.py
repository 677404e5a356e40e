"""The states of instances as time passes: moto has them arrive at once, EC2 does not."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclass
class Pace:
    """Seconds, and how many things EC2 lists at once."""

    listed_after: float = 0.2
    pending_for: float = 0.4
    stopping_for: float = 0.3
    ending_for: float = 0.3
    forgotten_after: float = 3600.0
    page_at_most: int = 1000


@dataclass
class Instance:
    listed_at: float
    """On the way from here …"""
    passing: str
    until: float
    """… to here."""
    settled: str

    def state(self) -> str:
        return self.passing if time.monotonic() < self.until else self.settled


class States:
    def __init__(self) -> None:
        self.pace = Pace()
        self._lock = threading.Lock()
        self._known: dict[str, Instance] = {}
        self._reasons: dict[str, tuple[str, str]] = {}

    def made(self, name: str) -> None:
        now = time.monotonic()
        with self._lock:
            listed_at = now + self.pace.listed_after
            self._known[name] = Instance(listed_at, "pending", now + self.pace.pending_for, "running")

    def move(self, name: str, passing: str, seconds: float, settled: str) -> None:
        with self._lock:
            instance = self._known[name]
            instance.passing, instance.settled = passing, settled
            instance.until = time.monotonic() + seconds

    def give_reason(self, name: str, code: str, message: str) -> None:
        """Why EC2 itself ends it: `Client.VolumeLimitExceeded`."""
        with self._lock:
            self._reasons[name] = (code, message)

    def reason(self, name: str) -> tuple[str, str] | None:
        with self._lock:
            return self._reasons.get(name)

    def arrived(self, name: str, state: str) -> None:
        """A host says where it is: at what was asked of it, or somewhere else of its own accord."""
        with self._lock:
            instance = self._known[name]
            if instance.until == math.inf and instance.settled != state:
                return
            instance.passing = instance.settled = state
            instance.until = time.monotonic()

    def state(self, name: str) -> str:
        with self._lock:
            return self._known[name].state()

    def is_listed(self, name: str) -> bool:
        """Not yet, while it is new; no longer, an hour after its end."""
        now = time.monotonic()
        with self._lock:
            instance = self._known.get(name)
            if instance is None or now < instance.listed_at:
                return False
            return instance.state() != "terminated" or now < instance.until + self.pace.forgotten_after

    def all(self) -> dict[str, str]:
        with self._lock:
            return {name: instance.state() for name, instance in self._known.items()}
