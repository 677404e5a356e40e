"""Checks terraform/ without a cloud: `fmt`, `validate` and `test` against the provider's shapes, and checkov.

And that the console prints for a tenant's account what the module makes of it: `printed/` has what Rust renders for
some accounts (a test of updraft-app holds it), a call of the module and permissions, and the one has to make the other.

And that settings are as `rendered/` has them (`--write` keeps others), and descriptions as EC2 takes them.

Without terraform on the machine all but checkov and descriptions is left out, and it says so.
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

import security_groups
import settings
from stub_provider import served

HERE = Path(__file__).parent
TREE = HERE.parents[1] / "terraform"
MODULE = TREE / "modules" / "updraft"


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
        shown = at.relative_to(TREE.parent) if at.is_relative_to(TREE.parent) else at
        print(f"{shown}: {' '.join(str(part) for part in command)}\n{done.stdout}{done.stderr}")
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
                and (root != MODULE or settings.are_as_rendered(root, kept))
            )
            (root / ".terraform.lock.hcl").unlink(missing_ok=True)
        well &= all([as_printed(account, environment) for account in sorted((HERE / "printed").iterdir())])
    return well and machines()


# What stands in capitals is the tenant's to fill in.
FILLED_IN = {"vpc/VPC": "vpc/vpc-0a1b2c3d", "BUCKET/PREFIX/": "bucket/prefix/"}
AS_PRINTED = """
mock_provider "aws" {{
  mock_data "aws_caller_identity" {{
    defaults = {{ account_id = "{number}" }}
  }}
  mock_data "aws_partition" {{
    defaults = {{ partition = "{partition}" }}
  }}
  mock_resource "aws_iam_role" {{
    defaults = {{ arn = "arn:{partition}:iam::{number}:role/{profile}" }}
  }}
}}

variables {{
{said}
}}

run "as_printed" {{
  assert {{
    condition     = jsondecode(aws_iam_role_policy.updraft.policy) == jsondecode(file("{permissions}"))
    error_message = "not as printed: ${{aws_iam_role_policy.updraft.policy}}"
  }}
  assert {{
    condition     = one(values(aws_iam_instance_profile.node)).name == "{profile}"
    error_message = "nodes would ask for another profile"
  }}
}}
"""


def as_printed(account: Path, environment: dict[str, str]) -> bool:
    """Whether the printed call of the module makes the printed permissions."""

    def filled_in(file: str) -> str:
        text = (account / file).read_text()
        for capitals, word in FILLED_IN.items():
            text = text.replace(capitals, word)
        return text

    config = json.loads((account / "account.json").read_text())["config"]
    _, partition, _, _, number, _ = config["role_arn"].split(":")
    # The call as a test gives a module its variables: without its braces and its source.
    said = [line for line in filled_in("call.hcl").strip().splitlines()[1:-1] if not line.startswith("  source = ")]
    with tempfile.TemporaryDirectory() as scratch:
        module, permissions = Path(scratch, "module"), Path(scratch, "permissions.json")
        permissions.write_text(filled_in("permissions.json"))
        shutil.copytree(TREE / "modules" / "tenant-account", module, ignore=shutil.ignore_patterns("tests"))
        (module / "tests").mkdir()
        asked = {
            "number": number,
            "partition": partition,
            "profile": config["instance_profile"],
            "said": "\n".join(said),
        }
        (module / "tests" / "printed.tftest.hcl").write_text(AS_PRINTED.format(**asked, permissions=permissions))
        kept = {**environment, "TF_DATA_DIR": f"{scratch}/data"}
        init = ("terraform", "init", "-backend=false", "-input=false", "-no-color")
        return run(*init, at=module, **kept) and run("terraform", "test", "-no-color", at=module, **kept)


def machines() -> bool:
    """What control's and edges' machines run at their first start, as a shell reads it."""
    known = {
        "region": "r",
        "bucket": "b",
        "key": "k",
        "sha256": "0",
        "settings": "{}",
        "journal": "{}",
        "secrets": {"edge-token": "u/edge-token"},
    }
    shellcheck = Path(sys.prefix).parent / "python" / "bin" / "shellcheck"
    well = True
    authorities = {"url": "https://ca", "file": "/etc/updraft/ca.pem"}
    for face, ca in (("control", authorities), ("edge", None)):
        template = MODULE / "server.sh.tftpl"
        asked = f'base64encode(templatefile("{template}", {json.dumps({**known, "face": face, "ca": ca})}))'
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
    # All, so that one run tells everything.
    sys.exit(not all([security_groups.are_taken(TREE), terraform(), checkov()]))
