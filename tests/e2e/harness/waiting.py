"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_for(what: str, condition: Callable[[], T], seconds: float = 60.0, every: float = 0.2) -> T:
    """The first truthy answer. An `OSError` on the way is "not yet"; its last one is told when the time is up."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s; last seen: {last!r}")
        time.sleep(every)
