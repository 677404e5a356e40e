"""A node's first minutes: the user data itself, run beside a store, a metadata service and a control of the test's own.

The agent is the real one. Only systemd is played, since it does not run where tests run.
"""

from __future__ import annotations

import ast
import getpass
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest
from harness import amazon_linux
from harness.surroundings import Surroundings
from harness.user_data import AGENT, BOOT, REPOSITORY, UNIT, environment, packed, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "a-token-that-is-good-once"
# An environment's interpreter that finds Airflow.
RUNS = b"#!/bin/sh\nexit 0\n"
# As long as they get: a signature with a session's token in it.
SIGNED = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Security-Token=" + "a%2F" * 400

SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$PLAYED/systemctl.calls"
alive() { [ -s "$PLAYED/agent.pid" ] && kill -0 "$(cat "$PLAYED/agent.pid")" 2>/dev/null; }
start() {
    alive && return
    rm -f "$PLAYED/agent.ended"
    setsid "$PLAYED/bin/run-agent" 3>&- </dev/null >>"$PLAYED/agent.out" 2>&1 &
    until [ -s "$PLAYED/agent.pid" ]; do sleep 0.01; done
}
stop() {
    alive && kill "$(cat "$PLAYED/agent.pid")"
    while alive; do sleep 0.01; done
    rm -f "$PLAYED/agent.pid"
}
case "$1" in
    --version) echo "systemd 252 (played)" ;;
    is-active) if [ -s "$PLAYED/agent.ended" ]; then echo failed; exit 3; else echo active; fi ;;
    start) start ;;
    restart) stop; start ;;
esac
"""
START_AGENT = f'#!/bin/sh\nexec "{AGENT}" "$@"\n'.encode()
RUN_AGENT = """#!/bin/sh
"$UPDRAFT_BOOT_ROOT/opt/updraft/agent/updraft-agent" --bootstrap "$UPDRAFT_BOOT_ROOT/var/lib/updraft/bootstrap.json" &
echo $! >"$PLAYED/agent.pid"
wait $!
echo $? >"$PLAYED/agent.ended"
"""


class Node:
    """A root directory of its own, with its store and control around it."""

    def __init__(self, directory: Path, around: Surroundings) -> None:
        self.directory, self.around = directory, around
        self.root = directory / "root"
        self.id = str(uuid.uuid4())
        self.archives: list[str] = []
        tools = directory / "bin"
        tools.mkdir(parents=True)
        self.tool("systemctl", SYSTEMCTL)
        self.tool("run-agent", RUN_AGENT)
        self.tool("journalctl", '#!/bin/sh\ntail -n 20 "$PLAYED/agent.out"\n')
        around.tokens.add(TOKEN)
        self.offer("agent", "updraft-agent", START_AGENT, *UNIT)

    def tool(self, name: str, text: str) -> None:
        path = self.directory / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def offer(self, directory: str, name: str, content: bytes, *files: Path) -> None:
        self.offer_archive(directory, packed(name, content, *files))

    def offer_archive(self, directory: str, archive: bytes) -> None:
        key = f"/{directory}.tar.gz"
        self.around.objects[key] = archive
        self.archives.append(f"{hashlib.sha256(archive).hexdigest()} {directory} {self.around.url}{key}{SIGNED}")

    def user_data(self, **other: str) -> str:
        values = {
            "NODE": self.id,
            "CONTROL_URL": self.around.url,
            "TOKEN": TOKEN,
            "BOOT_LOG_URL": f"{self.around.url}/boot.log{SIGNED}",
            "ARCHIVES": "\n".join(self.archives),
        }
        return rendered({**values, **other})

    def boot(self, patience: int = 20, within: tuple[str, ...] = (), **other: str) -> subprocess.CompletedProcess[str]:
        script = self.directory / "user-data"
        script.write_text(self.user_data(**other))
        environment = {
            "UPDRAFT_BOOT_ROOT": str(self.root),
            "UPDRAFT_BOOT_METADATA": self.around.url,
            "UPDRAFT_BOOT_USER": getpass.getuser(),
            "UPDRAFT_BOOT_BUILDER": getpass.getuser(),
            "UPDRAFT_BOOT_PATIENCE": str(patience),
            "UPDRAFT_BOOT_PATH": f"{self.directory / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PLAYED": str(self.directory),
        }
        return subprocess.run([*within, "sh", script], env=environment, capture_output=True, text=True, timeout=60)

    def calls(self, verb: str) -> int:
        calls = self.directory / "systemctl.calls"
        return sum(line.split()[0] == verb for line in calls.read_text().splitlines()) if calls.exists() else 0

    def bootstrap(self) -> dict[str, str]:
        told: dict[str, str] = json.loads((self.root / "var/lib/updraft/bootstrap.json").read_text())
        return told

    def end(self) -> None:
        pid = self.directory / "agent.pid"
        if pid.exists() and not (self.directory / "agent.ended").exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)


@pytest.fixture
def around() -> Iterator[Surroundings]:
    with Surroundings() as around:
        yield around


@pytest.fixture
def node(tmp_path: Path, around: Surroundings) -> Iterator[Node]:
    node = Node(tmp_path, around)
    yield node
    node.end()


def test_node_boots_once_and_its_token_is_gone(node: Node) -> None:
    node.offer("runtimes/airflow", "bin/python", RUNS)
    first = node.boot()
    assert first.returncode == 0, first.stdout
    opt, var = node.root / "opt/updraft", node.root / "var/lib/updraft"
    assert (opt / "runtimes/airflow/bin/python").read_bytes() == RUNS
    assert not stat.S_IMODE((opt / "runtimes/airflow/bin/python").stat().st_mode) & 0o022, "only root may change it"
    assert stat.S_IMODE((var / "bootstrap.json").stat().st_mode) == 0o600
    assert node.bootstrap()["address"] == "127.0.0.1"
    assert TOKEN not in "".join(file.read_text() for file in node.root.rglob("*") if file.is_file())
    assert "booted" in node.around.shipped["/boot.log"]
    assert node.around.reports > 0
    assert "Security-Token" not in node.around.shipped["/boot.log"]

    fetched, pid = node.around.asked(".tar.gz"), (node.directory / "agent.pid").read_text()
    second = node.boot()
    assert second.returncode == 0, second.stdout
    assert node.around.asked(".tar.gz") == fetched, "what is there is not fetched again"
    assert node.around.asked("register") == 1
    assert (node.directory / "agent.pid").read_text() == pid, "the agent goes on"
    assert node.calls("restart") == 1


def test_another_digest_boots_nothing_and_says_so(node: Node) -> None:
    node.around.objects["/agent.tar.gz"] += b"!"
    done = node.boot()
    assert done.returncode != 0
    assert "FAILED: agent is not what control named: sha256" in node.around.shipped["/boot.log"]
    assert not (node.root / "opt/updraft/agent").exists()
    assert node.calls("start") + node.calls("restart") == 0


def test_a_refused_object_is_named_without_its_address(node: Node) -> None:
    node.around.objects.clear()
    done = node.boot()
    assert "agent can't be fetched: HTTP 403 AccessDenied" in done.stdout
    assert "X-Amz" not in done.stdout + node.around.shipped["/boot.log"]


def test_a_store_that_is_away_is_tried_for_a_while(node: Node) -> None:
    digest = node.archives[0].split()[0]
    done = node.boot(patience=1, ARCHIVES=f"{digest} agent http://127.0.0.1:1/agent.tar.gz")
    assert done.returncode != 0
    assert "agent can't be fetched: [Errno 111] Connection refused, tried for 1 s" in done.stdout
    assert "FAILED" in node.around.shipped["/boot.log"]


def test_a_token_that_is_no_longer_good_fails_at_once(node: Node) -> None:
    done = node.boot(TOKEN="too-old")
    assert done.returncode != 0
    shipped = node.around.shipped["/boot.log"]
    assert "control did not take this node (the agent is failed)" in shipped
    assert "control answered 401" in shipped, "the agent's own words"
    assert "too-old" not in shipped


def test_a_node_is_booted_once_control_took_a_report(node: Node) -> None:
    node.around.hears = False
    done = node.boot(patience=5)
    assert done.returncode != 0
    shipped = node.around.shipped["/boot.log"]
    assert "FAILED: control took this node, but no report of its agent (the agent is active)" in shipped
    assert "Control takes no reports" in shipped, "the agent's own words"
    assert "booted" not in shipped
    assert node.bootstrap()["token"] == "", "it is spent all the same"

    node.around.hears = True
    assert node.boot().returncode == 0
    assert "booted" in node.around.shipped["/boot.log"]
    assert node.around.asked("register") == 1


def test_an_agent_that_leaves_no_sign_has_booted_when_control_took_the_node(node: Node, tmp_path: Path) -> None:
    """Of a release before the sign, which a newer control may still start."""
    unit = tmp_path / UNIT[0].name
    unit.write_text("".join(line for line in UNIT[0].read_text().splitlines(True) if "heard" not in line))
    node.archives.clear()
    node.offer("agent", "updraft-agent", START_AGENT, unit, *UNIT[1:])
    node.around.hears = False
    assert node.boot().returncode == 0
    assert "booted" in node.around.shipped["/boot.log"]


def test_a_runtime_that_the_images_python_cannot_run_is_named_with_what_is_needed(node: Node) -> None:
    # As of an environment that was made with another Python: it runs, and finds nothing in it.
    node.offer("runtimes/airflow", "bin/python", b'#!/bin/sh\nexec python3 "$@"\n')
    done = node.boot()
    assert done.returncode != 0
    shipped = node.around.shipped["/boot.log"]
    assert "FAILED: runtimes/airflow can't be run on this image (Python 3." in shipped
    assert "finds no Airflow in it): it needs the Python that it was made with" in shipped
    assert node.calls("start") + node.calls("restart") == 0


def test_a_runtime_whose_python_is_not_there_is_named(node: Node) -> None:
    node.offer("runtimes/airflow", "bin/python", b"#!/nowhere/python3\n")
    assert node.boot(NODE="").returncode != 0, "an image is not made of it either"
    assert "FAILED: runtimes/airflow can't be run on this image" in node.around.shipped["/boot.log"]


@pytest.mark.root_only
def test_a_node_boots_where_names_and_places_are_amazon_linuxs(node: Node, tmp_path: Path) -> None:
    node.offer_archive("runtimes/airflow", environment())
    (tmp_path / "scratch").mkdir()
    done = node.boot(within=tuple(amazon_linux.enter(str(tmp_path / "scratch"))))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "booted" in node.around.shipped["/boot.log"]
    assert node.around.reports > 0


@pytest.mark.root_only
def test_a_runtime_of_whatever_python3_is_runs_on_no_amazon_linux(node: Node, tmp_path: Path) -> None:
    node.offer_archive("runtimes/airflow", environment("/usr/bin/python3"))
    (tmp_path / "scratch").mkdir()
    assert node.boot(within=tuple(amazon_linux.enter(str(tmp_path / "scratch")))).returncode != 0
    shipped = node.around.shipped["/boot.log"]
    assert "FAILED: runtimes/airflow can't be run on this image (Python 3." in shipped
    assert "at the same path, /usr/bin/python3; " in shipped
    assert "dnf install python3.11" in shipped


def test_an_archive_that_amazon_linuxs_libraries_are_too_old_for_is_refused(tmp_path: Path) -> None:
    check: list[str | Path] = [REPOSITORY / "infra/image/build", "--check", tmp_path]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").write_text("#!/bin/sh\n")
    (tmp_path / "bin/tool").chmod(0o755)
    shutil.copy(AGENT, tmp_path / "bin/agent")
    assert subprocess.run(check, capture_output=True, text=True, timeout=60).stderr == ""

    # Of glibc 2.36, which Debian 12 has.
    program = b"unsigned arc4random(void); int main(void) { return (int)arc4random(); }"
    subprocess.run(["cc", "-x", "c", "-o", tmp_path / "bin/newer", "-"], input=program, check=True, timeout=60)
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "bin/newer asks for GLIBC_2.36, and nodes may have no more than GLIBC_2.34" in done.stderr


def test_amazon_linuxs_own_python_understands_what_user_data_says_in_it() -> None:
    said = re.findall(r"^[A-Z_]+='\n(.*?)^'$", (BOOT / "user-data.sh").read_text(), re.MULTILINE | re.DOTALL)
    assert len(said) == 2
    for text in said:
        ast.parse(text, feature_version=(3, 9))


@pytest.mark.parametrize("systemd", ["219", "239"])
def test_a_systemd_that_does_not_know_the_units_type_is_refused(node: Node, systemd: str) -> None:
    node.tool("systemctl", SYSTEMCTL.replace("systemd 252", f"systemd {systemd}"))
    assert node.boot().returncode != 0
    shipped = node.around.shipped["/boot.log"]
    assert f"FAILED: this image's systemd is {systemd}, and the agent's unit needs 240" in shipped
    assert node.around.asked(".tar.gz") == 0


def test_an_image_has_everything_but_a_node(node: Node) -> None:
    done = node.boot(NODE="", TOKEN="", BOOT_LOG_URL="")
    assert done.returncode == 0, done.stdout
    assert (node.root / "etc/systemd/system/updraft-agent.service").exists()
    assert node.calls("start") + node.calls("restart") + node.calls("enable") == 0
    fetched = node.around.asked(".tar.gz")
    assert node.boot().returncode == 0
    assert node.around.asked(".tar.gz") == fetched, "a node of this image fetches nothing"


def test_whoever_runs_tenants_code_is_kept_from_metadata() -> None:
    """Users that user data makes, of which the agent is told, and no other: the agent is root's."""
    script, unit = (BOOT / "user-data.sh").read_text(), (BOOT / "updraft-agent.service").read_text()
    made = re.findall(r'^    have_user "\$(\w+)"', script, re.MULTILINE)
    users = [re.findall(rf'^{name}="\${{\w+:-([\w-]+)}}"$', script, re.MULTILINE)[0] for name in made]
    (shielded,) = re.findall(r"^ExecStartPre=.*/shield-metadata\.sh (.*)$", unit, re.MULTILINE)
    assert users == ["updraft-services", "updraft-builder"]
    assert shielded.split() == users


def test_a_shield_for_nobody_starts_no_agent() -> None:
    for users in ([], ["no-such-user"]):
        done = subprocess.run(["sh", BOOT / "shield-metadata.sh", *users], capture_output=True, text=True)
        assert done.returncode != 0, users
        assert done.stderr


@pytest.mark.root_only
def test_tenants_code_reaches_no_metadata(tmp_path: Path) -> None:
    """In a network of its own, whose gateway has the metadata service's address."""
    network = """
        ip link set lo up
        unshare --net sleep 60 & gateway=$!
        trap 'kill $gateway' EXIT
        until [ "$(readlink /proc/$gateway/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
        ip link add dev inside type veth peer name outside
        ip link set dev outside netns $gateway
        ip addr add 169.254.1.1/16 dev inside
        ip link set dev inside up
        nsenter -t $gateway -n sh -c 'ip addr add 169.254.169.254/16 dev outside; ip link set dev outside up'
        nsenter -t $gateway -n python3 -m http.server --directory "$1" --bind 169.254.169.254 80 >/dev/null 2>&1 &
        trap "kill $gateway $!" EXIT
        until python3 "$2" 0; do sleep 0.02; done
        services=$(id -u nobody) builder=$(id -u daemon)
        for user in $services $builder; do python3 "$2" $user && echo "it is reached"; done
        sh "$3" nobody daemon && sh "$3" nobody daemon && ip -details rule | grep prohibit | grep -c "proto kernel"
        python3 "$2" 0 && echo "root reaches it"
        for user in $services $builder; do python3 "$2" $user || echo "it is not reached"; done
    """
    ask = tmp_path / "ask.py"
    ask.write_text(
        "import os, socket, sys\n"
        "os.setgroups([]); os.setuid(int(sys.argv[1]))\n"
        "to = socket.socket(); to.settimeout(1)\n"
        "try: to.connect(('169.254.169.254', 80))\n"
        "except OSError: sys.exit(1)\n"
    )
    arguments = [str(tmp_path), str(ask), str(BOOT / "shield-metadata.sh")]
    command = ["unshare", "--net", "sh", "-c", network, "sh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # Two addresses of each of two users, once.
    told = [*["it is reached"] * 2, "4", "root reaches it", *["it is not reached"] * 2]
    assert done.stdout.splitlines() == told, done.stderr


def test_the_unit_is_understood(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    text = (BOOT / "updraft-agent.service").read_text()
    unit = tmp_path / "updraft-agent.service"
    unit.write_text(text.replace("/opt/updraft/agent/updraft-agent ", "/bin/true "))
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert done.stderr == "", "a setting that systemd does not know is left out without a word"
