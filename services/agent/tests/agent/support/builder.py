#!/usr/bin/python3
"""Stands in for the runtime's interpreter and its builder: what it makes is told from what it makes another time."""

import json
import os
import sys
import time
from pathlib import Path

request = json.loads(Path(sys.argv[-1]).read_text())
environment = Path(request["environment"])
module = environment / "lib" / "word.py"
base = Path(request["base"])
meeting = base.parent / "meeting"


def make() -> None:
    module.parent.mkdir(parents=True)
    module.write_text(f"WORD = {os.urandom(8).hex()!r}  # by {os.geteuid()}\n")
    (environment / "bin").mkdir()
    (environment / "bin" / "airflow").write_text("#!/bin/sh\n")
    for link in ("python", "python3"):
        (environment / "bin" / link).symlink_to(os.path.realpath(base / "bin" / "python"))
    if not meeting.is_dir():
        return
    (meeting / "made").touch()
    # The cluster's services try what they can meanwhile.
    while not (meeting / "tried").exists():
        time.sleep(0.01)


def check() -> None:
    """As a DAG would that is hostile to other clusters."""
    home = environment.parent
    attempts = {
        "write": lambda: module.write_text("WORD = 'evil'\n"),
        "replace": lambda: (module.unlink(), module.write_text("WORD = 'evil'\n")),
        "add": lambda: (environment / "lib" / "evil.pth").write_text("import evil\n"),
        "open up": lambda: environment.chmod(0o777),
        "move": lambda: environment.rename(home / "elsewhere"),
        "plant": lambda: (home / "planted").mkdir(),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        sys.exit(json.dumps({"refused": "breaks_dags", "message": f"{name} was possible"}))


try:
    {"make": make, "check": check}[request["part"]]()
except SystemExit as end:
    print(end.code, flush=True)
else:
    print(json.dumps({"ready": True}), flush=True)
