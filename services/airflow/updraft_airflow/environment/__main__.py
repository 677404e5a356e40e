"""The build's command line: reads the request, goes through the stages, says what became of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from updraft_airflow.environment import check, install, limits, solve
from updraft_airflow.environment.words import Refused, Request, say


def main() -> int:
    parser = argparse.ArgumentParser(prog="updraft_airflow.environment")
    parser.add_argument("--request", type=Path, required=True)
    request = Request.read(parser.parse_args().request)
    limits.apply(request.limits)
    try:
        build(request)
    except Refused as refused:
        say(refused=refused.cause, message=refused.message)
        return 1
    say(ready=True)
    return 0


def build(request: Request) -> None:
    if request.part == "make":
        say(stage="solve")
        packages = solve.solve(request)
        say(stage="install", detail=install.counted(packages))
        install.install(request, packages)
    else:
        say(stage="check")
        check.check(request)


if __name__ == "__main__":
    sys.exit(main())
