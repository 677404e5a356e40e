"""Runs a runtime's services the way the agent does: from runtime.toml, on loopback addresses of their own.

It has no opinion on Airflow: what is started, and how, is read from the runtime's directory.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import tomllib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
RUNTIME = Path(__file__).resolve().parents[3] / "infra" / "runtimes" / "airflow-3.3.2"
PACKAGE = Path(__file__).resolve().parents[1] / "updraft_airflow"
_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")


# === The environment under test ===


def environment() -> Path:
    """The virtual environment named by UPDRAFT_TEST_ENV, with our package as it is in this tree."""
    named = os.environ.get("UPDRAFT_TEST_ENV")
    if not named:
        raise RuntimeError("UPDRAFT_TEST_ENV must name the virtual environment of the runtime under test")
    env = Path(named)
    site = next(env.glob("lib/python3.*/site-packages"))
    target = site / "updraft_airflow"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([env / "bin/python", "-m", "compileall", "-q", target], check=True)
    return env


def program(env: Path, name: str) -> str:
    """The environment's own program, or one of the machine (valkey-server, rabbitmq-server)."""
    if name == "rabbitmq-server":
        return rabbitmq()
    own = env / "bin" / name
    if own.exists():
        return str(own)
    for extra in os.environ.get("UPDRAFT_TEST_TOOLS", "").split(":"):
        if extra and (Path(extra) / name).exists():
            return str(Path(extra) / name)
    found = shutil.which(name) or (shutil.which("redis-server") if name == "valkey-server" else None)
    if not found:
        raise RuntimeError(f"{name} is neither in the environment, in UPDRAFT_TEST_TOOLS, nor on this machine")
    return found


def rabbitmq() -> str:
    """The program itself: the one in PATH wants to be root."""
    if not Path(RABBITMQ).exists():
        raise RuntimeError(f"no {RABBITMQ}: install RabbitMQ (on Debian: apt-get install rabbitmq-server)")
    return RABBITMQ


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)


# === Postgres ===


@dataclass
class Postgres:
    """A server of our own on a free port. It refuses to run as root, so it gets another user then."""

    directory: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    # Of Debian's own build: the one that comes along speaks no TLS.
    speaks_tls: bool = False
    # Beyond what all have: name=value.
    settings: tuple[str, ...] = ()

    def start(self) -> None:
        named = None if self.speaks_tls else os.environ.get("UPDRAFT_TEST_POSTGRES")
        binaries = Path(named) if named else max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
        if binaries is None:
            raise RuntimeError(
                "PostgreSQL's server is neither in UPDRAFT_TEST_POSTGRES nor, for tests of TLS, below /usr/lib/postgresql: "
                "install it (on Debian: apt-get install postgresql)"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        data = self.directory / "data"
        initdb: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_user)
        self.port = free_port()
        options = [
            "-D",
            data,
            "-p",
            str(self.port),
            "-h",
            "127.0.0.1",
            "-k",
            "",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
            *(word for setting in self.settings for word in ("-c", setting)),
        ]
        with (self.directory / "log").open("wb") as log:
            command = [str(part) for part in [binaries / "postgres", *options]]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **as_user)

        def answers() -> bool:
            probe = subprocess.run(["psql", self.dsn("postgres"), "-c", "select 1"], capture_output=True, check=False)
            return probe.returncode == 0

        wait_for("Postgres to start", answers, 30)

    def dsn(self, database: str) -> str:
        return f"postgresql://postgres:secret-of-database@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        command = ["psql", self.dsn(database), "-XtAc", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)


# === The edge's key ===


@dataclass
class Edge:
    """Mints what the edge mints."""

    audience: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    kid: str = "edge-1"

    def write_keys(self, path: Path, *others: Edge) -> None:
        """These are believed from now on, and no other."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"keys": [edge.public() for edge in (self, *others)]}))
        fresh.replace(path)

    def public(self) -> dict[str, Any]:
        jwk = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return jwk | {"kid": self.kid, "alg": "EdDSA", "use": "sig"}

    def token(
        self, role: str = "admin", *, headers: dict[str, Any] | None = None, changed: dict[str, Any] | None = None
    ) -> str:
        """A token of this role; `changed` replaces claims, or leaves them out where it says None."""
        now = int(time.time())
        body = {
            "iss": "updraft-edge", "aud": self.audience, "sub": f"{role}-1", "email": f"{role}@example.com",
            "name": role.capitalize(), "role": role, "iat": now, "exp": now + 60,
        } | (changed or {})  # fmt: skip
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, self.key, algorithm="EdDSA", headers={"kid": self.kid} | (headers or {}))


# === runtime.toml ===


class Runtime:
    """A runtime's directory, rendered as the agent renders it."""

    def __init__(self, directory: Path = RUNTIME, broker: str = "valkey") -> None:
        self.toml = tomllib.loads((directory / "runtime.toml").read_text())
        self.broker = broker
        self.services: list[dict[str, Any]] = self._suiting("service")
        self.relays: list[dict[str, Any]] = self._suiting("relay")
        self.managed: dict[str, dict[str, str]] = {
            section: self.toml["managed"].get(section, {}) | self._of_broker().get(section, {})
            for section in self.toml["managed"].keys() | self._of_broker().keys()
        }

    def _suiting(self, table: str) -> list[dict[str, Any]]:
        return [entry for entry in self.toml[table] if entry.get("broker", self.broker) == self.broker]

    def _of_broker(self) -> dict[str, dict[str, str]]:
        managed: dict[str, dict[str, str]] = self.toml["brokers"][self.broker]["managed"]
        return managed

    def service(self, name: str) -> dict[str, Any]:
        return next(service for service in self.services if service["name"] == name)

    def render(self, template: str, variables: dict[str, str], granted: list[str]) -> str | None:
        """None if the template names a variable of a secret that is not granted."""
        withheld = {v for name, unlocks in self.toml["secrets"].items() if name not in granted for v in unlocks}
        named = set(_VARIABLE.findall(template))
        if named & withheld:
            return None
        return _VARIABLE.sub(lambda match: variables[match[1]], template)

    def env(
        self, variables: dict[str, str], service: dict[str, Any] | None, overrides: dict[str, str]
    ) -> dict[str, str]:
        granted = service["secrets"] if service else []
        templates: dict[str, str] = dict(self.toml["env"])
        for table in (self.toml["defaults"], self.managed):
            for section, keys in table.items():
                for key, value in keys.items():
                    templates[f"AIRFLOW__{section.upper()}__{key.upper()}"] = value
        templates |= (service or {}).get("env", {})
        rendered = {name: self.render(value, variables, granted) for name, value in templates.items()}
        return {name: value for name, value in rendered.items() if value is not None} | overrides


# === A node ===


@dataclass
class Node:
    """One node of a cluster: an address, a work directory and its services."""

    env_dir: Path
    runtime: Runtime
    address: str
    directory: Path
    variables: dict[str, str]
    overrides: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        work = self.directory / "work"
        logs = self.directory / "logs"
        for path in (work, logs, *(work / name for name in self.runtime.toml["directories"]["paths"])):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.variables = self.variables | {
            "address": self.address, "work_dir": str(work), "logs_dir": str(logs), "plugins_dir": str(work / "plugins"),
            "prefork_socket": str(work / "prefork.sock"),
        }  # fmt: skip
        for file in self.runtime.toml["file"]:
            self._write(file, [])

    def _write(self, file: dict[str, str], granted: list[str]) -> None:
        path, content = (self.runtime.render(file[key], self.variables, granted) for key in ("path", "content"))
        if path is None or content is None:
            raise AssertionError(f"{file['path']} needs a secret that is not granted")
        target = Path(path)
        target.touch(mode=0o600)
        target.write_text(content)

    def command(self, name: str) -> tuple[list[str], dict[str, str], Path]:
        """argv, complete environment, and log of a service, its files written."""
        service = self.runtime.service(name)
        for file in service.get("file", []):
            self._write(file, service["secrets"])
        argv = [self.runtime.render(part, self.variables, []) or "" for part in service["argv"]]
        argv[0] = program(self.env_dir, argv[0])
        return argv, self.environ(service), self.directory / "logs" / f"{name}.log"

    def environ(self, service: dict[str, Any] | None) -> dict[str, str]:
        path = f"{self.env_dir / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        if service is None or service["airflow"]:
            return {"PATH": path} | self.runtime.env(self.variables, service, self.overrides)
        own = {name: self.url(value) for name, value in service.get("env", {}).items()}
        return {"PATH": path} | own

    def start(self, name: str) -> subprocess.Popen[bytes]:
        argv, env, log = self.command(name)
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv, env=env, cwd=self.variables["work_dir"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.processes[name] = process
        return process

    def url(self, template: str) -> str:
        return self.runtime.render(template, self.variables, []) or ""

    def stop(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def get(url: str, token: str | None = None, method: str = "GET", body: Any = None) -> tuple[int, str]:
    """Status and body, whatever they are; 0 while nothing listens. Redirects are not followed."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=60) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0, ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_numbers: Iterator[int] = itertools.count(1)


def cluster_variables(directory: Path, dsn: str, address: str, cluster_id: str = "77") -> dict[str, str]:
    """What control and the agent would fill in. The broker's relay is left out: one address for all nodes."""
    return {
        "cluster_id": cluster_id,
        "prefix": f"/airflow-webserver-{cluster_id}",
        "base_url": f"http://{address}:8080/airflow-webserver-{cluster_id}/",
        "dsn": dsn,
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": secrets.token_hex(32),
        "broker_password": "secret-of-broker",
        "dags_dir": str(directory / "dags"),
        "jwks_file": str(directory / "jwks.json"),
        "log_bucket": "logs",
        "log_keys_file": str(directory / "log-keys.json"),
        "log_prefix": "cluster-77",
        "log_region": "us-east-1",
        "s3_endpoint": "http://127.0.0.1:1",
        "worker_concurrency": "2",
        "worker_queues": "default",
    }


def publish_dags(root: Path, digest: str, files: dict[str, str]) -> None:
    """Delivers a DAG version as the agent does: complete directory, modified now, then `current` by rename."""
    (root / "wanted").mkdir(parents=True, exist_ok=True)
    (root / "notes").mkdir(exist_ok=True)
    target = root / "versions" / digest
    staging = root / f"staging-{next(_numbers)}"
    for name, text in files.items():
        path = staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        staging.rename(target)
    # Airflow parses at once what was modified since it parsed it last; a version may be an older one that comes back.
    for path in target.rglob("*"):
        os.utime(path)
    current = root / "current.new"
    current.write_text(digest)
    current.rename(root / "current")


# === The pre-imported parent ===


@dataclass
class Parent:
    """The parent, and the agent's side of its socket."""

    env_dir: Path
    runtime: Runtime
    directory: Path
    variables: dict[str, str]
    overrides: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.node = Node(self.env_dir, self.runtime, "127.0.0.1", self.directory, self.variables, self.overrides)
        self.socket = Path(self.node.variables["prefork_socket"])
        self.log = self.directory / "logs" / "prefork.log"

    def start(self) -> None:
        prefork = self.runtime.toml["prefork"]
        argv = [self.node.url(part) for part in prefork["argv"]]
        argv[0] = program(self.env_dir, argv[0])
        env = self.node.environ(None) | {name: self.node.url(value) for name, value in prefork["env"].items()}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                argv, env=env, cwd=self.node.variables["work_dir"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def ready(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError(f"the parent ended:\n{self.log.read_text()}")
        return self.socket.exists() and self.ask({"ping": True}) == {"ready": True}

    def ask(self, request: dict[str, Any] | bytes) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(str(self.socket))
            except ConnectionRefusedError:
                return {}
            connection.sendall(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
            reply: dict[str, Any] = json.loads(connection.makefile("rb").readline() or b"{}")
            return reply

    def fork(self, node: Node, name: str) -> int:
        """Starts a node's service from this parent; its pid."""
        argv, env, log = node.command(name)
        status = node.directory / "logs" / f"{name}.status"
        request = {
            "argv": ["airflow", *argv[1:]],
            "env": env,
            "cwd": node.variables["work_dir"],
            "output": str(log),
            "status": str(status),
        }
        reply = self.ask(request)
        if "pid" not in reply:
            raise RuntimeError(f"{name} was not forked: {reply}")
        return int(reply["pid"])

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


# === Addresses and processes ===


def free_address() -> str:
    """A loopback address nobody serves Airflow's ports on."""
    for number in range(1, 250):
        address = f"127.{78 + os.getpid() % 100}.{os.getpid() // 100 % 250}.{number}"
        if not any(listens(address, port) for port in (5672, 6379, 8080, 8974)):
            return address
    raise RuntimeError("no loopback address is free")


def listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False


def alive(pid: int) -> bool:
    """Whether this process runs. One that ended, but was not waited for, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def end_group(pid: int, seconds: float = 20.0) -> None:
    """Waits for a group that was told to end, and kills what is left of it."""
    try:
        wait_for(f"process {pid} to end", lambda: not alive(pid), seconds)
    except TimeoutError:
        kill_group(pid, signal.SIGKILL)


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
