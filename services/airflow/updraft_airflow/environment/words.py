"""What a build is asked for, and the ways in which it is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Cause = Literal["conflict", "missing", "index", "install", "breaks_airflow", "breaks_plugins", "breaks_dags", "failed"]

MESSAGE_CHARACTERS = 2000


class Refused(Exception):
    """This environment is not to be used."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message.strip()[-MESSAGE_CHARACTERS:]


@dataclass(frozen=True)
class Limits:
    time_s: int
    memory_bytes: int
    disk_bytes: int
    processes: int


@dataclass(frozen=True)
class Request:
    """As the agent writes it."""

    part: Literal["make", "check"]
    staging: Path
    """A directory for this part of the build alone."""
    environment: Path
    """What is made, below `staging`, or checked, and not to be changed."""
    base: Path
    """The runtime's own environment."""
    before: Path
    """The environment that the cluster has now."""
    dags: Path | None
    """The DAG version that is live on this node."""
    plugins: Path | None
    """A folder that becomes the environment's."""
    requirements: str
    allow_source_builds: bool
    uv: Path
    index_url: str | None
    own_index: str | None
    """Asked first. It is the agent's door on this node; what it shows beyond is nobody's business here."""
    limits: Limits

    @classmethod
    def read(cls, path: Path) -> Request:
        told: dict[str, Any] = json.loads(path.read_text())
        return cls(
            part=told["part"],
            staging=Path(told["staging"]),
            environment=Path(told["environment"]),
            base=Path(told["base"]),
            before=Path(told["before"]),
            dags=Path(told["dags"]) if told["dags"] else None,
            plugins=Path(told["plugins"]) if told.get("plugins") else None,
            requirements=told["requirements"],
            allow_source_builds=told["allow_source_builds"],
            uv=Path(told["uv"]),
            index_url=told["index_url"],
            own_index=told.get("own_index"),
            limits=Limits(**told["limits"]),
        )

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"


def say(**what: object) -> None:
    """One line for the agent."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def plugins(environment: Path) -> Path:
    return environment / "plugins"


def site_packages(environment: Path) -> Path:
    version = sys.version_info
    return environment / "lib" / f"python{version.major}.{version.minor}" / "site-packages"
