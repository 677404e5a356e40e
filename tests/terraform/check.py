"""Checks terraform/ without a cloud: `fmt`, `validate` and `test` against the provider's shapes, and checkov.

Without terraform on the machine the first three are left out, and it says so.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stub_provider import served

HERE = Path(__file__).parent
TREE = HERE.parents[1] / "terraform"


def run(*command: str | Path, at: Path = TREE, **environment: str) -> bool:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=at,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        print(f"{at.relative_to(TREE.parent)}: {' '.join(str(part) for part in command)}\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def roots() -> list[Path]:
    return sorted({file.parent for file in TREE.rglob("*.tf")})


def terraform() -> bool:
    if shutil.which("terraform") is None:
        print("terraform is not on this machine: fmt, validate and test are left out")
        return True
    well = run("terraform", "fmt", "-check", "-diff", "-recursive")
    with served() as environment, tempfile.TemporaryDirectory() as scratch:
        for root in roots():
            kept = {**environment, "TF_DATA_DIR": f"{scratch}/{root.relative_to(TREE)}"}
            well &= (
                run("terraform", "init", "-backend=false", "-input=false", "-no-color", at=root, **kept)
                and run("terraform", "validate", "-no-color", at=root, **kept)
                and (not any(root.glob("tests/*.tftest.hcl")) or run("terraform", "test", "-no-color", at=root, **kept))
            )
            (root / ".terraform.lock.hcl").unlink(missing_ok=True)
    return well and machines()


def machines() -> bool:
    """What control's and edges' machines run at their first start, as a shell reads it."""
    known = {
        "region": "r",
        "bucket": "b",
        "key": "k",
        "sha256": "0",
        "settings": "{}",
        "secrets": {"edge-token": "u/edge-token"},
    }
    shellcheck = Path(sys.prefix).parent / "python" / "bin" / "shellcheck"
    well = True
    for face in ("control", "edge"):
        template = TREE / "modules" / "updraft" / "server.sh.tftpl"
        asked = f'base64encode(templatefile("{template}", {json.dumps({**known, "face": face})}))'
        with tempfile.TemporaryDirectory() as scratch:
            console = ["terraform", "console"]
            told = subprocess.run(console, cwd=scratch, input=asked, capture_output=True, text=True, timeout=60)
            script = Path(scratch, f"{face}.sh")
            script.write_bytes(base64.b64decode(told.stdout.strip().strip('"')))
            well &= run(shellcheck, script)
    return well


def checkov() -> bool:
    program = Path(sys.executable).with_name("checkov")
    options = ["--quiet", "--compact", "--skip-download", "--framework", "terraform"]
    return run(program, *options, "--directory", TREE, LOG_LEVEL="ERROR")


if __name__ == "__main__":
    # Both, so that one run tells everything.
    sys.exit(not all([terraform(), checkov()]))
