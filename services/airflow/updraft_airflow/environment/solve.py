"""Which packages an environment needs beyond its runtime's, which stay exactly as they are."""

from __future__ import annotations

import re
import signal
import zipfile
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from updraft_airflow.environment.tool import uv
from updraft_airflow.environment.words import Cause, Refused, site_packages

if TYPE_CHECKING:
    from importlib.metadata import Distribution
    from pathlib import Path

    from updraft_airflow.environment.words import Request

_WHEEL = "Wheel-Version: 1.0\nGenerator: updraft\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_MISSING = (
    r"was not found in the (package registry|provided package locations)|no (usable )?wheels|no `.*` wheel"
    r"|building from source is disabled|there (is|are) no versions? of|only the following versions"
    r"|only \S+ (is|are) available"
    r"|no matching (python )?(abi|platform|version) tag|no wheels? with a matching"
)
_SIGNS: tuple[tuple[str, Cause], ...] = (
    (r"error sending request|failed to fetch|could not connect|dns error|timed out|tls", "index"),
    (r"401 unauthorized|403 forbidden", "index"),
    (r"failed to build|build backend|build_wheel|metadata_wheel|get_requires_for_build", "install"),
    (_MISSING, "missing"),
    (r"unsatisfiable|incompatible|conflict", "conflict"),
)
"""In the order in which they count: a conflict's explanation may name versions that are missing."""


def solve(request: Request) -> list[str]:
    """The lines to install, each pinned; none of them a package of the runtime.

    :raises Refused: with the solver's own reason
    """
    if not request.requirements.strip():
        return []
    runtime = {canonicalize_name(each.name): each for each in distributions(path=[str(site_packages(request.base))])}
    pins: dict[str, str] = {name: each.version for name, each in runtime.items()}
    stand_ins = request.staging / "runtime"
    stand_ins.mkdir()
    for each in runtime.values():
        _stand_in(stand_ins, each)
    asked = request.staging / "requirements.txt"
    asked.write_text(request.requirements)
    constraints = request.staging / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in sorted(pins.items())))
    solved = uv(
        request, "compile", str(asked), "--constraints", str(constraints),
        "--find-links", str(stand_ins), "--python", str(request.base / "bin" / "python"),
        "--no-header", "--no-annotate", "--quiet",
    )  # fmt: skip
    if solved.returncode < 0:
        how = signal.Signals(-solved.returncode).name
        raise Refused("install", f"uv was ended by {how} while it built a package without a wheel.\n{solved.stderr}")
    if solved.returncode != 0:
        raise explained(solved.stderr or f"uv ended with {solved.returncode}")
    return [line for line in solved.stdout.splitlines() if _is_extra(line, pins)]


def _stand_in(directory: Path, distribution: Distribution) -> None:
    """A wheel with nothing but the metadata of what is installed: no index need have the runtime's packages."""
    name = canonicalize_name(distribution.name).replace("-", "_")
    info = f"{name}-{distribution.version}.dist-info"
    with zipfile.ZipFile(directory / f"{name}-{distribution.version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", distribution.read_text("METADATA") or "")
        wheel.writestr(f"{info}/WHEEL", _WHEEL)
        wheel.writestr(f"{info}/RECORD", "")


def _is_extra(line: str, pins: dict[str, str]) -> bool:
    try:
        return canonicalize_name(Requirement(line).name) not in pins
    except InvalidRequirement:
        return False


def explained(message: str, otherwise: Cause = "conflict") -> Refused:
    text = re.sub(r"\s+", " ", message).lower()
    if "unsatisfiable" in text and re.search(r"depends on|you require", text) and not re.search(_MISSING, text):
        return Refused("conflict", message)
    cause = next((cause for signs, cause in _SIGNS if re.search(signs, text)), otherwise)
    return Refused(cause, message)
