"""What control and edges are told by modules/updraft, compared with `rendered/`.

A test of services/updraft reads that with the types that its programs read their files with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

RENDERED = Path(__file__).parent / "rendered"
# Of which run and for whom. Nothing that may be left out is an edge's.
FILES = {
    "control.json": ("all", "control"),
    "control-least.json": ("least", "control"),
    "edge.json": ("all", "edge"),
}


def are_as_rendered(module: Path, environment: dict[str, str]) -> bool:
    """As the runs of its tests/rendered.tftest.hcl have them. `--write` keeps them."""
    told = subprocess.run(
        ["terraform", "test", "-json", "-verbose", "-filter=tests/rendered.tftest.hcl"],
        cwd=module,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    states = {line["@testrun"]: line["test_state"] for line in lines if "test_state" in line}
    if told.returncode != 0:
        print(f"{module}: its settings cannot be seen\n{told.stdout}{told.stderr}")
        return False
    same = [is_kept(name, states[run]["outputs"]["settings"]["value"][face]) for name, (run, face) in FILES.items()]
    return all(same)


def is_kept(name: str, settings: object) -> bool:
    kept = RENDERED / name
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    if "--write" in sys.argv:
        kept.write_text(text)
    if kept.exists() and kept.read_text() == text:
        return True
    print(
        f"{name} is not what modules/updraft makes: `python check.py --write` keeps it; run the tests of updraft then"
    )
    return False
