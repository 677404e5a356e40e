"""The pre-imported parent: what it forks are services of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import harness
import pytest
from celery import Celery

from updraft_airflow.worker import CONSUMING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Cluster

# Named in no service: Airflow's own tests, a progress bar's and a command's defaults, a configuration nobody writes.
HARMLESS = {
    "airflow.cli.cli_config:ARG_OUTPUT_PATH.kwargs['default']",
    "airflow.configuration:TEST_DAGS_FOLDER",
    "airflow.configuration:TEST_PLUGINS_FOLDER",
    "fsspec.config:conf_dir",
    "fsspec.config:default_conf_dir",
    "rich:_IMPORT_CWD",
}
SECRETS = {"dsn": b"secret-of-database", "broker": b"secret-of-broker"}


@pytest.fixture
def parent(cluster: Cluster, tmp_path: Path) -> Iterator[harness.Parent]:
    """A parent of its own, for tests that end it."""
    parent = harness.Parent(
        cluster.env_dir, cluster.runtime, tmp_path / "p", cluster.parent.variables, cluster.parent.overrides
    )
    parent.start()
    harness.wait_for("the parent", parent.ready)
    yield parent
    parent.stop()


def version(node: harness.Node, name: str = "version") -> dict[str, object]:
    logs = node.directory / "logs"
    return {
        "argv": ["airflow", "version"], "env": node.environ(node.runtime.service("worker")), "cwd": "/",
        "output": str(logs / f"{name}.log"), "status": str(logs / f"{name}.status"),
    }  # fmt: skip


def status(request: dict[str, object]) -> dict[str, int] | None:
    path = Path(str(request["status"]))
    return json.loads(path.read_text()) if path.exists() else None


def memory_holds(pid: int, needles: list[bytes]) -> set[bytes]:
    """Which of these byte strings are anywhere in a process' writable memory, environment or command line."""
    shown = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))
    found = {needle for needle in needles if needle in shown}
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            if mode.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                with contextlib.suppress(OSError):
                    content = memory.read(end - start)
                    found |= {needle for needle in needles if needle in content}
    return found


def group(pid: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == pid:
                    members.append(int(entry.name))
    return members


def readable(pid: int) -> bool:
    """Airflow forbids everybody but root to look into a process that supervises tasks (`PR_SET_DUMPABLE`)."""
    return os.access(f"/proc/{pid}/environ", os.R_OK)


def test_a_run_succeeds_on_forked_services(cluster: Cluster) -> None:
    # Tests before this one published other versions: the DAG counts as stale until its file was parsed once more.
    harness.wait_for("the DAG to be live", lambda: not json.loads(cluster.call("/api/v2/dags/demo")[1])["is_stale"], 120)
    code, text = cluster.call("/api/v2/dags/demo/dagRuns", "user", "POST", {"logical_date": None})
    assert code == 200, text
    run = json.loads(text)["dag_run_id"]

    def state() -> str:
        return str(json.loads(cluster.call(f"/api/v2/dags/demo/dagRuns/{run}")[1])["state"])

    assert (
        harness.wait_for("the run to end", lambda: state() if state() in ("success", "failed") else None) == "success"
    )


def test_every_service_answers_its_own_health_check(cluster: Cluster) -> None:
    assert harness.get(cluster.node.url("http://{address}:8974/health"))[0] == 200
    health = json.loads(cluster.call("/api/v2/monitor/health", None)[1])
    assert {part: health[part]["status"] for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")} == {
        "metadatabase": "healthy", "scheduler": "healthy", "triggerer": "healthy", "dag_processor": "healthy",
    }  # fmt: skip


def test_nothing_listens_beyond_the_nodes_address(cluster: Cluster) -> None:
    sockets = {
        os.readlink(fd)
        for pid in cluster.services.values()
        for member in group(pid)
        if readable(member)
        for fd in Path(f"/proc/{member}/fd").iterdir()
    }
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                dotted = ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
                listening.add((dotted, int(port, 16)))
    assert listening == {(cluster.node.address, 8080), (cluster.node.address, 8974)}


def test_a_worker_holds_no_database_secret_in_memory_or_environment(cluster: Cluster) -> None:
    fernet, jwt = (cluster.node.variables[name].encode() for name in ("fernet_key", "jwt_secret"))
    forbidden = [SECRETS["dsn"], fernet, jwt]
    scheduler = memory_holds(cluster.services["scheduler"], forbidden)
    assert SECRETS["dsn"] in scheduler, "the positive control: the scheduler does hold it"
    worker = cluster.services["worker"]
    members = group(worker)
    assert readable(worker)
    assert len(members) >= 2, "the pool's processes are looked at too"
    for member in filter(readable, members):
        # A task's process may end meanwhile.
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            assert memory_holds(member, forbidden) == set()


def test_a_workers_slots_are_free_as_soon_as_their_tasks_end(cluster: Cluster) -> None:
    """What that means is in `test_worker.py`."""
    broker = cluster.node.environ(cluster.runtime.service("worker"))["AIRFLOW__CELERY__BROKER_URL"]
    (told,) = Celery(broker=broker).control.inspect(timeout=10, limit=1).conf().values()
    assert CONSUMING.items() <= told.items()


def test_the_parent_holds_no_secret_at_all(cluster: Cluster) -> None:
    assert cluster.parent.process is not None
    needles = [
        *SECRETS.values(),
        cluster.node.variables["fernet_key"].encode(),
        cluster.node.variables["jwt_secret"].encode(),
    ]
    assert memory_holds(cluster.parent.process.pid, needles) == set()


def test_the_environment_shown_for_a_service_is_not_its_own(cluster: Cluster) -> None:
    for name, pid in cluster.services.items():
        shown = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not any(secret in shown for secret in SECRETS.values()), name


def test_ps_names_each_service(cluster: Cluster) -> None:
    title = Path(f"/proc/{cluster.services['scheduler']}/cmdline").read_bytes()
    assert title.startswith(b"airflow scheduler")


def test_a_fork_leads_its_own_session_and_inherits_no_descriptor(cluster: Cluster) -> None:
    pid = cluster.services["scheduler"]
    assert os.getsid(pid) == pid
    assert cluster.parent.process is not None
    parents = {os.readlink(fd) for fd in Path(f"/proc/{cluster.parent.process.pid}/fd").iterdir()}
    own = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    assert {link for link in own & parents if link.startswith(("socket:", "pipe:"))} == set()


def test_an_exit_code_is_written_when_a_service_ends(cluster: Cluster) -> None:
    request = version(cluster.node)
    assert cluster.parent.ask(request)["pid"]
    assert harness.wait_for("the status", lambda: status(request)) == {"code": 0}
    assert "3.3.2" in Path(str(request["output"])).read_text()


def test_a_failing_command_has_its_own_code(cluster: Cluster) -> None:
    request = version(cluster.node, "failing") | {"argv": ["airflow", "no-such-command"]}
    cluster.parent.ask(request)
    assert harness.wait_for("the status", lambda: status(request)) == {"code": 2}


def test_a_killed_service_is_told_by_its_signal(cluster: Cluster) -> None:
    request = version(cluster.node, "killed") | {"argv": ["airflow", "triggerer", "--skip-serve-logs"]}
    request["env"] = cluster.node.environ(cluster.runtime.service("triggerer"))
    pid = cluster.parent.ask(request)["pid"]
    os.killpg(pid, signal.SIGKILL)
    assert harness.wait_for("the status", lambda: status(request)) == {"signal": 9}


def test_the_start_time_is_the_kernels(cluster: Cluster) -> None:
    request = version(cluster.node, "timed") | {"argv": ["airflow", "triggerer", "--skip-serve-logs"]}
    request["env"] = cluster.node.environ(cluster.runtime.service("triggerer"))
    reply = cluster.parent.ask(request)
    stat = Path(f"/proc/{reply['pid']}/stat").read_text().rpartition(")")[2].split()
    os.killpg(reply["pid"], signal.SIGKILL)
    assert reply["start_time"] == int(stat[19])


def test_services_outlive_their_parent(cluster: Cluster, parent: harness.Parent) -> None:
    request = version(cluster.node, "outlives") | {"argv": ["airflow", "triggerer", "--skip-serve-logs"]}
    request["env"] = cluster.node.environ(cluster.runtime.service("triggerer"))
    pids = [parent.ask(request)["pid"], parent.ask(request)["pid"]]
    assert parent.process is not None
    for number in (signal.SIGKILL,):
        parent.process.send_signal(number)
        parent.process.wait(10)
    assert all(harness.alive(pid) for pid in pids)
    for pid in pids:
        harness.kill_group(pid, signal.SIGKILL)


def test_a_told_parent_leaves_quietly(cluster: Cluster, parent: harness.Parent) -> None:
    request = version(cluster.node, "quiet") | {"argv": ["airflow", "triggerer", "--skip-serve-logs"]}
    request["env"] = cluster.node.environ(cluster.runtime.service("triggerer"))
    pid = parent.ask(request)["pid"]
    assert parent.process is not None
    parent.process.terminate()
    assert parent.process.wait(10) == 0
    assert not parent.socket.exists()
    assert harness.alive(pid)
    harness.kill_group(pid, signal.SIGKILL)


def test_a_dead_parents_socket_is_taken_over(parent: harness.Parent) -> None:
    assert parent.process is not None
    parent.process.kill()
    parent.process.wait(10)
    assert parent.socket.exists()
    parent.start()
    harness.wait_for("the second parent", parent.ready)


def test_the_socket_is_the_owners_alone(cluster: Cluster) -> None:
    assert cluster.parent.socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"not json\n", b"[]\n", b"{}\n", b'{"argv": []}\n', b'{"argv": ["airflow"], "env": {"A": 1}}\n', b'{"surprise": 1}\n',
        b'{"argv": ["a"], "env": {}, "cwd": "relative", "output": "/tmp/x", "status": "/tmp/y"}\n',
        b'{"argv": ["a"], "env": {}, "cwd": "/nowhere", "output": "/tmp/x", "status": "/tmp/y"}\n',
        b'{"argv": ["a"], "env": {}, "cwd": "/", "output": "/nowhere/x", "status": "/tmp/y"}\n',
    ],
)  # fmt: skip
def test_a_bad_request_is_answered_and_forks_nothing(cluster: Cluster, request_bytes: bytes) -> None:
    assert set(cluster.parent.ask(request_bytes)) == {"error"}
    assert cluster.parent.ask({"ping": True}) == {"ready": True}


def test_a_fork_forgets_the_parents_configuration(cluster: Cluster, tmp_path: Path) -> None:
    """Every value that may differ between parent and service is looked for in the service's modules."""
    probe = Path(__file__).with_name("probe_frozen.py")
    request = version(cluster.node, "probe")
    environ = cluster.node.environ(cluster.runtime.service("scheduler"))
    # A plugin is the way to run code inside the service, as a tenant would.
    plugins = Path(environ["AIRFLOW__CORE__PLUGINS_FOLDER"])
    report = tmp_path / "report.json"
    (plugins / "probe_frozen.py").write_text(probe.read_text())
    try:
        parent_work = cluster.parent.node.variables["work_dir"]
        request |= {
            "argv": ["airflow", "plugins"],
            "env": environ
            | {"PROBE_REPORT": str(report), "PROBE_NEEDLES": json.dumps([parent_work, "nobody@127.0.0.1"])},
        }
        cluster.parent.ask(request)
        harness.wait_for("the status", lambda: status(request))
        assert report.exists(), Path(str(request["output"])).read_text()
        frozen = [found for found in json.loads(report.read_text()) if found.partition(" = ")[0] not in HARMLESS]
        assert frozen == [], "\n".join(frozen)
    finally:
        (plugins / "probe_frozen.py").unlink()


PLUGIN = """
from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
def hello():
    return {"plugin": "was here"}


class Hello(AirflowPlugin):
    name = "hello"
    fastapi_apps = [{"name": "hello", "app": app, "url_prefix": "/hello-plugin"}]
"""


def test_a_tenants_plugin_is_served_by_a_forked_api_server(cluster: Cluster, tmp_path: Path) -> None:
    web = harness.Node(
        cluster.env_dir,
        cluster.runtime,
        harness.free_address(),
        tmp_path / "web",
        cluster.node.variables,
        cluster.node.overrides,
    )
    (Path(web.variables["work_dir"]) / "plugins" / "hello.py").write_text(PLUGIN)
    pid = cluster.parent.fork(web, "api-server")
    try:
        url = web.url("http://{address}:8080{prefix}/hello-plugin/hello")
        harness.wait_for("the plugin", lambda: harness.get(url) == (200, '{"plugin":"was here"}'))
        assert harness.get(web.url("http://{address}:8080{prefix}/ui/auth/me"), cluster.edge.token())[0] == 200
        assert cluster.call("/hello-plugin/hello")[1].startswith("<!doctype html>"), "the other node has no such plugin"
    finally:
        harness.kill_group(pid, signal.SIGTERM)
        harness.end_group(pid)


def test_what_a_package_put_among_the_modules_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from updraft_airflow.prefork import thaw

    odd = SimpleNamespace(AIRFLOW_HOME="/of/the/parent")
    for name, module in {"a_number": 7, "nothing": None, "odd": odd}.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    thaw._replace_copies(
        thaw.Constants({"AIRFLOW_HOME": "/of/the/parent"}), thaw.Constants({"AIRFLOW_HOME": "/of/the/service"})
    )
    assert odd.AIRFLOW_HOME == "/of/the/service"
