"""What is said on the parent's socket: one JSON object on one line each way, one request per connection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_REQUEST_BYTES = 1 << 20


class BadRequest(Exception):
    """The request can't be carried out; the text goes back to the agent."""


@dataclass(frozen=True)
class Fork:
    """Start a service. `env` is its whole environment; `status` is written by the parent when the service ends."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    output: str
    status: str


def parse(line: bytes) -> Fork:
    try:
        request: Any = json.loads(line)
    except ValueError as problem:
        raise BadRequest(f"not JSON: {problem}") from problem
    if not isinstance(request, dict):
        raise BadRequest("not a JSON object")
    unknown = request.keys() - {"argv", "env", "cwd", "output", "status"}
    if unknown:
        raise BadRequest(f"unknown field {min(unknown)}")
    argv, env = request.get("argv"), request.get("env")
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
        raise BadRequest("argv must be a list of strings")
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise BadRequest("env must map strings to strings")
    paths = {}
    for name in ("cwd", "output", "status"):
        path = request.get(name)
        if not isinstance(path, str) or not path.startswith("/"):
            raise BadRequest(f"{name} must be an absolute path")
        paths[name] = path
    return Fork(argv=argv, env=env, **paths)


def line(reply: dict[str, Any]) -> bytes:
    return json.dumps(reply).encode() + b"\n"
