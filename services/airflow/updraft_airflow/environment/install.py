"""Lays packages into a directory that is an environment wherever it is moved: no file in it knows where it lies."""

from __future__ import annotations

import compileall
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from updraft_airflow.environment.solve import explained
from updraft_airflow.environment.tool import uv
from updraft_airflow.environment.words import plugins, site_packages

if TYPE_CHECKING:
    from updraft_airflow.environment.words import Request

# `exec` of whichever python lies beside the script: a shebang would need the final path.
_SCRIPT = """#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"
' '''
"""
_AIRFLOW = (
    _SCRIPT
    + """import sys
from airflow.__main__ import main
sys.exit(main())
"""
)
_SHEBANG = re.compile(rb"\A#![^\n]*python[^\n]*\n(?:'''exec'[^\n]*\n' '''\n)?")


def install(request: Request, packages: list[str]) -> None:
    """:raises Refused: when a package can't be installed"""
    skeleton(request.environment, request.base)
    if packages:
        listed = request.staging / "solved.txt"
        listed.write_text("".join(f"{line}\n" for line in packages))
        installed = uv(
            request, "install", "--no-deps", "--link-mode", "copy", "--no-break-system-packages",
            "--python", str(request.base / "bin" / "python"), "--target", str(site_packages(request.environment)),
            "--requirements", str(listed),
        )  # fmt: skip
        if installed.returncode != 0:
            raise explained(installed.stderr, otherwise="install")
        _take_scripts(request.environment)
    _compile(request.environment, site_packages(request.environment))
    if request.plugins:
        own = plugins(request.environment)
        shutil.copytree(request.plugins, own, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        _compile(request.environment, own)


def _compile(environment: Path, directory: Path) -> None:
    compileall.compile_dir(str(directory), quiet=2, workers=1, stripdir=str(environment), prependdir="/")


def counted(packages: list[str]) -> str:
    return {0: "no package beyond the runtime's", 1: "1 package"}.get(len(packages), f"{len(packages)} packages")


def skeleton(environment: Path, base: Path) -> None:
    """An environment with nothing of its own in it."""
    own = site_packages(environment)
    own.mkdir(parents=True)
    binaries = environment / "bin"
    binaries.mkdir()
    interpreter = Path(os.path.realpath(base / "bin" / "python"))
    version = ".".join(map(str, sys.version_info[:3]))
    (environment / "pyvenv.cfg").write_text(
        f"home = {interpreter.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    )
    for name in ("python", "python3"):
        (binaries / name).symlink_to(interpreter)
    # The runtime's modules come first. `sitedir` is what `site` calls the directory that it reads this file from.
    (own / "00-updraft-runtime.pth").write_text(
        f"import sys; sys.path.insert(sys.path.index(sitedir), {str(site_packages(base))!r})\n"
    )
    script(binaries / "airflow", _AIRFLOW.encode())


def _take_scripts(environment: Path) -> None:
    """uv puts a target's scripts into its `bin`, with the runtime's python in their first line."""
    made = site_packages(environment) / "bin"
    if not made.is_dir():
        return
    for each in sorted(made.iterdir()):
        target = environment / "bin" / each.name
        if each.is_symlink() or not each.is_file() or target.exists() or target.is_symlink():
            continue
        content = each.read_bytes()
        script(target, _SHEBANG.sub(_SCRIPT.encode(), content, count=1))
        each.unlink()


def script(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)
