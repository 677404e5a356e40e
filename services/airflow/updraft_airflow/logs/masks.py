"""Writes `***` where a task, or what DAGs do while they are parsed, prints a secret of the cluster's.

Airflow masks what it hands out itself, connections and variables; it knows nothing of other variables of the
environment, and forgets what a worker told it whenever a task begins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import structlog

NAMES = "UPDRAFT_SECRETS"
"""Which variables hold secrets, separated by commas."""
_SHORTEST = 5
"""Of Airflow's own masking: what is shorter is part of too many words."""
_MASK = "***"


class Masks:
    """One of structlog's processors."""

    def __init__(self, secrets: set[str]) -> None:
        longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
        self._any = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, _logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {name: self._masked(value) for name, value in event.items()}

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._any.sub(_MASK, value)
        if isinstance(value, dict):
            return {name: self._masked(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(inner) for inner in value]
        return value


def processors(environment: Mapping[str, str]) -> tuple[structlog.typing.Processor, ...]:
    """None where there is no secret to be masked."""
    names = [name for name in environment.get(NAMES, "").split(",") if name]
    secrets = {part for name in names for part in _parts(environment.get(name, "")) if len(part) >= _SHORTEST}
    return (Masks(secrets),) if secrets else ()


def _parts(value: str) -> Iterator[str]:
    """The whole, each line of what has several, and the password of an address."""
    yield value
    yield from (line.strip() for line in value.splitlines())
    try:
        password = urlsplit(value).password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))
