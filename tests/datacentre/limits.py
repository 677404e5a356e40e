"""EC2's request limits, as it documents them: a bucket for each action of an account in a region.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html (read November 2026). Tokens come back one by
one here; the stricter reading, all of a second's at its end, is that of updraft-control's storm, which does
not wait for Python.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from datacentre.answers import RefusedError


@dataclass(frozen=True)
class Limit:
    holds: int
    per_second: int


READING = Limit(100, 20)
CHANGING = Limit(50, 5)
OWN = {
    "RunInstances": Limit(5, 2),
    "StartInstances": Limit(5, 2),
    "TerminateInstances": Limit(100, 5),
    "CreateTags": Limit(100, 10),
    "DeleteTags": Limit(100, 10),
}


@dataclass
class Bucket:
    left: float
    filled_at: float


class Limits:
    """Kept when a test asks for it: others have several providers in one account, which is what limits are against."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = False
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._came: dict[str, list[tuple[float, bool]]] = {}

    def keep(self) -> None:
        with self._lock:
            self._kept = True

    def take(self, account: str, region: str, action: str) -> None:
        with self._lock:
            if not self._kept:
                return
            now, limit = time.monotonic(), limit_of(action)
            bucket = self._buckets.setdefault((account, region, action), Bucket(limit.holds, now))
            back = (now - bucket.filled_at) * limit.per_second
            bucket.left, bucket.filled_at = min(limit.holds, bucket.left + back), now
            is_let_in = bucket.left >= 1
            bucket.left -= is_let_in
            self._came.setdefault(action, []).append((now, is_let_in))
        if not is_let_in:
            raise RefusedError("RequestLimitExceeded", "Request limit exceeded.", 503)

    def came(self, action: str) -> list[tuple[float, bool]]:
        """When each call came, in seconds, and whether it was let in."""
        with self._lock:
            return list(self._came.get(action, []))


def limit_of(action: str) -> Limit:
    return OWN.get(action) or (READING if action.startswith("Describe") else CHANGING)
