"""What goes wrong on demand, once or several times, and how often each action was asked."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Instead of the call; with `answer_lost` the call takes effect, and its connection is cut."""

    code: str = "InternalError"
    message: str = "as the test asked"
    status: int = 500
    answer_lost: bool = False


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Fault]] = {}
        self._calls: Counter[str] = Counter()

    def plan(self, action: str, fault: Fault, times: int) -> None:
        with self._lock:
            self._waiting.setdefault(action, []).extend([fault] * times)

    def forget(self) -> None:
        with self._lock:
            self._waiting.clear()

    def next(self, action: str) -> Fault | None:
        """Counts the call, and takes what is planned for it."""
        with self._lock:
            self._calls[action] += 1
            waiting = self._waiting.get(action)
            return waiting.pop(0) if waiting else None

    def calls(self) -> dict[str, int]:
        with self._lock:
            return dict(self._calls)
