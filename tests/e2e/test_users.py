"""As root: each cluster's services run as a user of their own; and an ordinary user can do all of it too."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.installation import Installation, free_port_base
from harness.processes import left_over
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.rest import Rest

pytestmark = pytest.mark.root_only

ORDINARY = "updraft-tester"


def test_services_run_as_their_clusters_user(rest: Rest, demo: dict[str, Any], neighbour: dict[str, Any]) -> None:
    for cluster in (demo["id"], neighbour["id"]):
        for service in rest.items(f"clusters/{cluster}/services"):
            owner = pwd.getpwuid(Path(f"/proc/{service['pid']}").stat().st_uid).pw_name
            assert owner.startswith("updraft-"), f"{service['name']} runs as {owner}"
            assert owner.endswith(f"-c{cluster}"), f"{service['name']} runs as {owner}"


def test_no_secret_is_on_a_command_line(installation: Installation) -> None:
    key = installation.storage().secret_key
    for pid, line in left_over(installation.data_dir).items():
        assert key not in line and installation.password not in line, f"process {pid}"
        assert not any(word in line.lower() for word in ("password=", "://updraft:", "secret=")), line


@pytest.fixture
def ordinary() -> Iterator[Installation]:
    """An installation of a user who is not root, from empty caches."""
    forget_user()
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", ORDINARY], check=True, capture_output=True)
    home = Path(pwd.getpwnam(ORDINARY).pw_dir)
    binary = home / "updraft"
    shutil.copy(os.environ["UPDRAFT_BIN"], binary)
    binary.chmod(0o755)
    this = Installation(home / "data", free_port_base(), binary)
    # Becomes the program itself, so that signals reach it.
    this.wrapper = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--init-groups", "env", f"HOME={home}"]
    try:
        yield this
    finally:
        try:
            if this.running():
                this.interrupt()
        finally:
            forget_user()


def forget_user() -> None:
    """With all that an earlier run left of it."""
    subprocess.run(["pkill", "-KILL", "-u", ORDINARY], check=False, capture_output=True)
    subprocess.run(["userdel", "--remove", "--force", ORDINARY], check=False, capture_output=True)


def test_an_ordinary_user_gets_to_a_successful_run_too(ordinary: Installation) -> None:
    ordinary.up()
    rest = ordinary.rest()
    rest.wait_for_phase("demo", "running")
    airflow = ordinary.airflow(rest.cluster("demo")["id"], rest)
    wait_for(
        "the sample DAG succeeds", lambda: "success" in [run["state"] for run in airflow.runs("hello_updraft")], 180
    )
    print(f"first up as an ordinary user: {ordinary.last_start:.0f} s")
