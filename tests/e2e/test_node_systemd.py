"""A node's first minutes under a real systemd: a Debian of its own, booted in a container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.user_data import REPOSITORY

pytestmark = [pytest.mark.root_only, pytest.mark.soak]

# Debian 11's Python (3.9), glibc, systemd, iproute and util-linux are as old as Amazon Linux 2023's, or older. An agent
# that was made for this machine's glibc does not run there.
ROOTS = {"bookworm": "node"} | ({"bullseye": "node-bullseye"} if "UPDRAFT_AGENT_ARCHIVE" in os.environ else {})
PACKAGES = "systemd,systemd-sysv,dbus,python3,iproute2,util-linux,ca-certificates"
LOOKS = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /test/look
"""


@pytest.fixture(scope="module", params=ROOTS)
def root(request: pytest.FixtureRequest) -> Path:
    """Made once; what a boot changes is thrown away."""
    suite: str = request.param
    root = REPOSITORY / ".tools" / ROOTS[suite]
    if not (root / "ready").exists():
        shutil.rmtree(root, ignore_errors=True)
        make = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={PACKAGES}", suite, str(root)]
        subprocess.run(make, check=True, timeout=900)
        units = root / "etc/systemd/system"
        (units / "look.service").write_text(LOOKS)
        (units / "multi-user.target.wants").mkdir(exist_ok=True)
        (units / "multi-user.target.wants/look.service").symlink_to("../look.service")
        (root / "ready").touch()
    return root


def test_node_boots_under_systemd_and_its_agent_is_confined(root: Path) -> None:
    enter = 'ip link set lo up && mount --make-rprivate / && exec "$@"'
    command = [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        enter,
        "sh",
        sys.executable,
        "-m",
        "harness.booted",
        str(root),
    ]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert "booted" in seen["boot"], seen["boot"]
    assert seen["active"] == "active\n"
    assert "NoNewPrivs:\t1" in seen["status"]
    assert "Seccomp:\t2" in seen["status"]
    for user in (seen["services"].strip(), seen["builder"].strip()):
        for address in ("169.254.169.254", "169.254.170.2"):
            assert f"to {address} uidrange {user}-{user} prohibit proto kernel" in seen["rule"]
    assert seen["places"] == "/var/lib/updraft/node\n", "it writes to its own place only"
    assert seen["enclosure"] == "nobody\nnothing more\n", "builds are enclosed, and what is built gets no further"
    assert "booted" in seen["again"], "also after its agent was killed"
    assert seen["registrations"] == 1
    assert seen["reports"] > 0
