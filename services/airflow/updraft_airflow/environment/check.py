"""Whether Airflow works in a new environment, and whether every DAG that imports now imports there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from updraft_airflow.environment.words import Refused, plugins, site_packages

if TYPE_CHECKING:
    from pathlib import Path

    from updraft_airflow.environment.words import Request

_SHOWN = 5
_NAMED = 20


def check(request: Request) -> None:
    """:raises Refused: when it would break what works"""
    _requirements_are_met(request)
    _shadows_nothing(request)
    _airflow_imports(request)
    _plugins_load(request)
    _dags_import(request)


def _requirements_are_met(request: Request) -> None:
    """As `pip check` would say it, of both directories together."""
    own = _distributions(site_packages(request.environment))
    known = _distributions(site_packages(request.base)) | own
    problems = [problem for each in own.values() for problem in _lacking(each, known)]
    if problems:
        raise Refused("conflict", "\n".join(problems[:_SHOWN]))


def _distributions(directory: Path) -> dict[str, Distribution]:
    return {canonicalize_name(each.name): each for each in distributions(path=[str(directory)])}


def _lacking(distribution: Distribution, known: dict[str, Distribution]) -> list[str]:
    problems = []
    for line in distribution.requires or []:
        needed = Requirement(line)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        there = known.get(canonicalize_name(needed.name))
        if there is None:
            problems.append(f"{distribution.name} {distribution.version} needs {needed}, which is not there.")
        elif not needed.specifier.contains(there.version, prereleases=True):
            problems.append(f"{distribution.name} {distribution.version} needs {needed}, but there is {there.version}.")
    return problems


def _shadows_nothing(request: Request) -> None:
    """A file that the runtime has too would never be seen: its package would not work as it should."""
    base = site_packages(request.base)
    for distribution in distributions(path=[str(site_packages(request.environment))]):
        for file in distribution.files or []:
            inside = ".." not in file.parts and not file.is_absolute()
            if inside and file.suffix in {".py", ".so", ".pth"} and (base / file).is_file():
                raise Refused(
                    "breaks_airflow",
                    f"{distribution.name} {distribution.version} brings `{file}`, which is the runtime's own.",
                )


def _airflow_imports(request: Request) -> None:
    report = _probe(request, request.environment, "airflow", None)
    if "error" in report:
        error = f"Airflow does not work in this environment:\n{report['error']}"
        raise Refused("breaks_airflow", f"{error}\n{_brought(request)}")


def _plugins_load(request: Request) -> None:
    """All of them, and the api-server with their pages: Airflow itself goes on without one that does not."""
    folder = plugins(request.environment)
    if not folder.is_dir():
        return
    report = _probe(request, request.environment, "plugins", None)
    said = {report["error"]} if "error" in report else report.get("files", {}).items()
    shown = [each if isinstance(each, str) else f"{each[0]}: {each[1]}" for each in sorted(said)]
    if shown:
        raise Refused("breaks_plugins", "\n".join(shown[:_SHOWN]))


def _dags_import(request: Request) -> None:
    if request.dags is None:
        return
    after = _probe(request, request.environment, "dags", request.dags)
    broken = after.get("files", {})
    if "error" not in after and not broken:
        return
    # What the cluster had may be gone with its node.
    had = request.before if (request.before / "bin" / "python").exists() else request.base
    before = _probe(request, had, "dags", request.dags)
    if "error" in after and "error" not in before:
        raise Refused("breaks_dags", f"Importing the DAGs does not end well:\n{after['error']}")
    new = {file: error for file, error in broken.items() if file not in before.get("files", {})}
    if new:
        shown = [f"{file}: {error}" for file, error in sorted(new.items())[:_SHOWN]]
        count = "1 file of DAGs" if len(new) == 1 else f"{len(new)} files of DAGs"
        raise Refused("breaks_dags", f"{count} would not import any more:\n" + "\n".join([*shown, _brought(request)]))


def _brought(request: Request) -> str:
    """Who may have done it: not all say in their error whose they are."""
    had = _distributions(site_packages(request.before))
    new = [each for name, each in _distributions(site_packages(request.environment)).items() if name not in had]
    names = sorted(f"{each.name} {each.version}" for each in new)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"New here: {', '.join(names[:_NAMED]) or 'other versions alone'}{more}."


def _probe(request: Request, environment: Path, what: str, dags: Path | None) -> dict[str, Any]:
    """Runs the probe in an environment; whatever the tenant's code prints or does, its answer is a file."""
    answer = request.staging / "scratch" / f"{what}.json"
    answer.unlink(missing_ok=True)
    home = request.staging / "scratch" / "home"
    home.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run(  # noqa: S603
        [
            str(environment / "bin" / "python"), "-I", "-m", "updraft_airflow.environment.probe",
            what, str(answer), *([str(dags)] if dags else []),
        ],
        env={
            **os.environ, "AIRFLOW_HOME": str(home), "HOME": str(home), "TMPDIR": str(home.parent / "tmp"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins(environment)),
        },
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )  # fmt: skip
    try:
        told: dict[str, Any] = json.loads(answer.read_text())
    except (OSError, ValueError):
        how = signal.Signals(-ended.returncode).name if ended.returncode < 0 else f"exit status {ended.returncode}"
        return {"error": f"{ended.stderr.strip()[-1000:]}\nIt ended with {how}."}
    return told
