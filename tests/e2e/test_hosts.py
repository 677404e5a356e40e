"""The test data centre's hosts themselves: what stands on them is only as true as they are."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import socketserver
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from harness import amazon_linux
from harness.data_centre import GATE, PORT, DataCentre
from harness.surroundings import Surroundings
from harness.user_data import REPOSITORY, agent_archive, environment, rendered
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root_only, pytest.mark.soak]

BASE = REPOSITORY / ".tools" / "image" / "base"
LISTEN = 7799
# Of the hosts' image, and of every runtime.
INTERPRETER = "/usr/bin/python3.11"

# At its first boot a host installs a service that says each second who it is, and then says what it finds.
USER_DATA = """#!/usr/bin/python3
import json, os, subprocess, urllib.error, urllib.request
from pathlib import Path

def ask(path, method="GET", **headers):
    request = urllib.request.Request("http://169.254.169.254/latest/" + path, headers=headers, method=method)
    try:
        return urllib.request.urlopen(request, timeout=5).read().decode()
    except urllib.error.HTTPError as error:
        return error.code

brief = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
session = ask("api/token", "PUT", **brief)
mine = {"X-aws-ec2-metadata-token": session}
Path("/etc/systemd/system/beat.service").write_text('''[Service]
ExecStart=/usr/bin/python3 /beat
Restart=always
[Install]
WantedBy=multi-user.target
''')
Path("/beat").write_text('''
import json, socket, time
while True:
    try:
        with socket.create_connection(("GATE", LISTEN), 1) as to:
            to.sendall(json.dumps({"beat": socket.gethostname()}).encode())
    except OSError:
        pass
    time.sleep(0.1)
''')
subprocess.run(["systemctl", "enable", "--now", "--no-block", "beat"], check=True)
found = {
    "uid": os.getuid(),
    "without a session": ask("meta-data/instance-id"),
    "forwarded": ask("api/token", "PUT", **brief, **{"X-Forwarded-For": "10.0.0.1"}),
    "instance": ask("meta-data/instance-id", **mine),
    "address": ask("meta-data/local-ipv4", **mine),
    "spot": ask("meta-data/spot/instance-action", **mine),
    "roles": ask("meta-data/iam/security-credentials/", **mine),
    "document": ask("dynamic/instance-identity/document", **mine),
    "signature": ask("dynamic/instance-identity/signature", **mine),
    "init": Path("/proc/1/comm").read_text(),
}
print("FOUND", json.dumps(found), flush=True)
""".replace("GATE", GATE).replace("LISTEN", str(LISTEN))


class Beats(socketserver.ThreadingTCPServer):
    """Counts, by address, what hosts say."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        self.heard: dict[str, int] = {}
        super().__init__((GATE, LISTEN), Listener)


class Listener(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Beats)
        if self.request.recv(1024):
            address = self.client_address[0]
            self.server.heard[address] = self.server.heard.get(address, 0) + 1


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataCentre]:
    subprocess.run([REPOSITORY / "infra/image/build", "--base", BASE], check=True, timeout=900)
    with DataCentre(BASE, tmp_path_factory.mktemp("centre") / "log") as centre:
        yield centre


@pytest.fixture(scope="module")
def beats(centre: DataCentre) -> Iterator[Beats]:
    with Beats() as beats:
        threading.Thread(target=beats.serve_forever, daemon=True).start()
        yield beats
        beats.shutdown()


COMPUTE = """import time
began = time.monotonic(), time.process_time()
while time.monotonic() < began[0] + 1:
    pass
print((time.process_time() - began[1]) / (time.monotonic() - began[0]))
"""
# More than a packet has room for, which links carry in one.
SEND = f"""import time, urllib.request
began = time.monotonic()
urllib.request.urlopen("http://{GATE}:{PORT}/datacentre/calls", b"{{}}" + b" " * 3_000_000, timeout=20).read()
print(time.monotonic() - began)
"""


def share_of_a_core(centre: DataCentre, instance: str) -> float:
    as_a_service = ["systemd-run", "--wait", "--pipe", "--quiet"]
    return float(centre.inside(instance, *as_a_service, "/usr/bin/python3", "-c", COMPUTE))


def seconds_to_send(centre: DataCentre, instance: str) -> float:
    return float(centre.inside(instance, "python3", "-c", SEND))


def found_by(centre: DataCentre, instance: str) -> Any:
    lines = [line for line in centre.console(instance).splitlines() if "FOUND {" in line]
    return json.loads(lines[0].partition("FOUND ")[2]) if lines else None


def beats_again(beats: Beats, address: str) -> None:
    before = beats.heard.get(address, 0)
    wait_for(f"{address} is heard", lambda: beats.heard.get(address, 0) > before + 3, 30, every=0.05)


def is_silent(beats: Beats, address: str) -> None:
    """What was on its way has come; then nothing for a second, in which ten would have."""
    wait_for("the last beat", lambda: _none_within(beats, address, 1.0), 20)


def _none_within(beats: Beats, address: str, seconds: float) -> bool:
    before = beats.heard.get(address, 0)
    threading.Event().wait(seconds)
    return beats.heard.get(address, 0) == before


def test_a_host_is_what_its_instance_says(centre: DataCentre, beats: Beats) -> None:
    instance = centre.launch(gzip.compress(USER_DATA.encode()))
    assert centre.state(instance) in ("pending", "running")
    centre.reach(instance, "running")
    found = wait_for("user data has run", lambda: found_by(centre, instance))
    address = centre.address(instance)
    assert (found["uid"], found["init"]) == (0, "systemd\n")
    assert (found["instance"], found["address"]) == (instance, address)
    assert (found["without a session"], found["forwarded"], found["spot"]) == (401, 403, 404)
    document = found["document"].encode()
    assert json.loads(document)["instanceId"] == instance
    key = x509.load_pem_x509_certificate(centre.ask("certificate").encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(found["signature"]), document, padding.PKCS1v15(), SHA256())
    beats_again(beats, address)

    ec2 = centre.ec2()
    ec2.stop_instances(InstanceIds=[instance])
    assert centre.state(instance) == "stopping"
    centre.reach(instance, "stopped")
    is_silent(beats, address)
    ec2.start_instances(InstanceIds=[instance])
    centre.reach(instance, "running")
    beats_again(beats, address)
    assert centre.address(instance) == address
    centre.inside(instance, "systemctl", "reboot")
    wait_for("it boots for the third time", lambda: centre.console(instance).count("Welcome to") == 3, 60)
    beats_again(beats, address)
    wait_for("cloud-init is done", lambda: "status: done" in centre.inside(instance, "cloud-init", "status"), 60)
    assert centre.console(instance).count("FOUND {") == 1, "user data is run at the first boot alone"

    ec2.terminate_instances(InstanceIds=[instance])
    centre.reach(instance, "terminated")
    is_silent(beats, address)
    assert not ec2.describe_volumes()["Volumes"]
    assert not Path("/var/tmp/updraft-datacentre", instance, "upper").exists()


def test_what_befalls_a_host(centre: DataCentre, beats: Beats) -> None:
    instance, neighbour = centre.launch(USER_DATA), centre.launch(USER_DATA)
    address, other = centre.address(instance), centre.address(neighbour)
    beats_again(beats, address)
    for harm, remedy in (("freeze", "thaw"), ("part", "join")):
        centre.befall(instance, harm)
        is_silent(beats, address)
        assert centre.state(instance) == "running", "EC2 sees nothing of it"
        beats_again(beats, other)
        centre.befall(instance, remedy)
        beats_again(beats, address)
    centre.befall(instance, "slow")
    assert share_of_a_core(centre, instance) < 0.35, "a quarter"
    assert seconds_to_send(centre, instance) > 0.4, "a tenth of a second more, each of four times"
    centre.befall(instance, "quicken")
    wait_for("it is as fast as before", lambda: share_of_a_core(centre, instance) > 0.4, 60)
    assert seconds_to_send(centre, instance) < 0.4
    centre.befall(instance, "lose-power")
    centre.reach(instance, "stopped")
    is_silent(beats, address)
    centre.ec2().start_instances(InstanceIds=[instance])
    beats_again(beats, address)
    centre.befall(instance, "reclaim", seconds=2)
    centre.reach(instance, "terminated")
    centre.ec2().terminate_instances(InstanceIds=[neighbour])
    centre.reach(neighbour, "terminated")


def test_connections_to_hosts_are_refused_and_counted(centre: DataCentre, beats: Beats) -> None:
    instance = centre.launch(USER_DATA)
    address = centre.address(instance)
    beats_again(beats, address)
    centre.ask("outbound-only")
    assert centre.ask("connections-tried") == 0
    ping = f"import socket; socket.create_connection(('{address}', 22), 1)"
    assert subprocess.run(["python3", "-c", ping], capture_output=True).returncode != 0
    assert centre.ask("connections-tried") > 0
    beats_again(beats, address)


def test_a_node_boots_where_names_and_places_are_amazon_linuxs(centre: DataCentre) -> None:
    """The changes are made by the host itself, before the user data that nodes get."""
    with Surroundings(address=GATE) as around:
        instance = centre.launch(gzip.compress(node(around, first=amazon_linux.changes(INTERPRETER)).encode()))
        log = wait_for("the boot's log", lambda: around.shipped.get("/boot.log"))
        assert log is not None and "booted" in log
        assert around.reports > 0
        assert "No such file" in centre.inside(instance, "ls", "/etc/ssl")
        centre.ec2().stop_instances(InstanceIds=[instance])
        centre.reach(instance, "stopped")
        asked = around.asked("assignment")
        centre.ec2().start_instances(InstanceIds=[instance])
        wait_for("the agent is back", lambda: around.asked("assignment") > asked)
        assert around.asked("register") == 1
        centre.ec2().terminate_instances(InstanceIds=[instance])
        centre.reach(instance, "terminated")


def node(around: Surroundings, first: str = "") -> str:
    """User data as control makes it, of a node with a runtime; `first` is done before."""
    around.tokens.add("good-once")
    archives = {"agent": agent_archive(), "runtimes/airflow": environment(INTERPRETER, "3.11")}
    lines = []
    for directory, archive in archives.items():
        around.objects[f"/{directory}.tar.gz"] = archive
        lines.append(f"{hashlib.sha256(archive).hexdigest()} {directory} {around.url}/{directory}.tar.gz")
    values = {"NODE": str(uuid.uuid4()), "CONTROL_URL": around.url, "TOKEN": "good-once"}
    values |= {"BOOT_LOG_URL": f"{around.url}/boot.log", "ARCHIVES": "\n".join(lines)}
    head, line, body = rendered(values).partition("\n")
    return f"{head}{line}{first}{body}"


def test_a_node_boots_on_a_host_and_no_tenants_code_reaches_metadata(centre: DataCentre) -> None:
    """User data as it is and the real agent; control and the store alone are the test's own."""
    session = "'http://169.254.169.254/latest/api/token', None, {'X-aws-ec2-metadata-token-ttl-seconds': '60'}"
    ask = f"from urllib.request import *; urlopen(Request({session}, method='PUT'), timeout=2); print('reached')"
    with Surroundings(address=GATE) as around:
        instance = centre.launch(gzip.compress(node(around).encode()))
        log = wait_for("the boot's log", lambda: around.shipped.get("/boot.log"))
        assert log is not None and "booted" in log
        assert f"on {instance}, {centre.address(instance)}" in log
        assert around.asked("register") == 1
        assert around.reports > 0, "it is booted once it was heard"
        assert "reached" in centre.inside(instance, "python3", "-c", ask)
        tenants = ("updraft-services", "updraft-builder")
        for user in tenants:
            assert "Permission denied" in centre.inside(instance, *as_user(user), "python3", "-c", ask), user
        centre.inside(instance, "systemctl", "restart", "systemd-networkd")
        for user in tenants:
            said = centre.inside(instance, *as_user(user), "python3", "-c", ask)
            assert "Permission denied" in said, f"{user}'s rule is not networkd's to remove"

        centre.ec2().stop_instances(InstanceIds=[instance])
        centre.reach(instance, "stopped")
        fetched, asked = around.asked(".tar.gz"), around.asked("assignment")
        centre.ec2().start_instances(InstanceIds=[instance])
        wait_for("the agent is back", lambda: around.asked("assignment") > asked)
        assert (around.asked("register"), around.asked(".tar.gz")) == (1, fetched)
        centre.ec2().terminate_instances(InstanceIds=[instance])
        centre.reach(instance, "terminated")


def as_user(name: str) -> list[str]:
    return ["setpriv", f"--reuid={name}", "--clear-groups", "--"]


def test_a_crashed_data_centre_leaves_nothing_that_the_next_keeps(centre: DataCentre) -> None:
    """The last one: it ends the data centre of this file."""
    assert len(_spaces().split()) > 1
    centre.crash()
    wait_for("its hosts end with it", lambda: not _containers(), 20)
    command = [sys.executable, "-m", "datacentre", "--clear"]
    subprocess.run(command, cwd=REPOSITORY / "tests", check=True, timeout=60)
    assert "udc-" not in _spaces()
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    assert "udc-" not in links and "updraft-dc" not in links
    assert "/var/tmp/updraft-datacentre" not in Path("/proc/mounts").read_text()
    assert not Path("/var/tmp/updraft-datacentre").exists()


def _spaces() -> str:
    return "\n".join(path.name for path in Path("/run/netns").glob("*"))


def _containers() -> list[str]:
    found = subprocess.run(["pgrep", "--full", "--list-full", "machine=udc-"], capture_output=True, text=True).stdout
    return found.splitlines()
