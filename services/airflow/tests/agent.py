"""A real agent that delivers DAG versions, under a control of which it knows no more than this."""

from __future__ import annotations

import datetime
import io
import json
import os
import subprocess
import tarfile
import threading
import uuid
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import storage
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "swaps/"
POLL_SECONDS = 10.0
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])


def program() -> Path:
    """`updraft`, which is an agent too."""
    named = os.environ.get("UPDRAFT_BIN")
    path = Path(named) if named else Path(__file__).resolve().parents[3] / "target" / "debug" / "updraft"
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: build it with `cargo build`, or name another in UPDRAFT_BIN")
    return path


def version_of(files: Mapping[str, bytes]) -> str:
    """A version's name, by what it holds."""
    whole = sha256()
    for path, content in sorted((path.encode(), content) for path, content in files.items()):
        whole.update(len(path).to_bytes(8, "big") + path)
        whole.update(len(content).to_bytes(8, "big") + sha256(content).digest())
    return whole.hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Agents that are killed hang up."""


@dataclass
class Control:
    """Registers one node, tells it of its cluster's DAGs, and listens to its reports."""

    store: storage.Storage
    node: str = field(default_factory=lambda: str(uuid.uuid4()))
    version: int = 1
    changed: threading.Condition = field(default_factory=threading.Condition)
    reports: list[dict[str, Any]] = field(default_factory=list)
    server: ThreadingHTTPServer = field(init=False)
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        control = self
        self.client = self.store.client()

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                after = int(parse_qs(urlsplit(self.path).query)["after"][0])
                self._answer(control.assignment_after(after))

            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path.endswith("/register"):
                    self._answer(_identity())
                else:
                    control.reports[:] = [told]
                    self._answer({})

            def _answer(self, body: dict[str, Any] | None) -> None:
                text = b"" if body is None else json.dumps(body).encode()
                self.send_response(204 if body is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def assignment_after(self, after: int) -> dict[str, Any] | None:
        with self.changed:
            newer = self.changed.wait_for(lambda: self.version > after, POLL_SECONDS)
            version = self.version
        if not newer:
            return None
        access, secret = storage.KEYS
        dags = {
            "endpoint": self.store.endpoint, "bucket": storage.BUCKET, "versions_prefix": f"{PREFIX}versions/",
            "access_key": access, "secret_key": secret, "resolver": True, "sync_nonce": version,
            "sources": [{"folder": "", "from": {"kind": "push", "prefix": f"{PREFIX}pushes/"}}],
        }  # fmt: skip
        return {
            "version": version, "cluster": 1, "node": self.node, "role": "scheduler", "generation": 1, "power": "run",
            "environment_dir": "/", "parent": {"env": {}, "directories": [], "files": []}, "services": [],
            "files": [], "relays": [], "dags": dags,
        }  # fmt: skip

    def push(self, files: Mapping[str, bytes]) -> str:
        """As control does: the archive, then what names it, then the agent is told to look. Returns the version."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        name = sha256(packed.getvalue()).hexdigest()
        now = datetime.datetime.now(datetime.UTC).isoformat()
        put = {f"{name}.tar.gz": packed.getvalue(), "current": json.dumps({"sha256": name, "pushed_at": now}).encode()}
        for key, body in put.items():
            self.client.put_object(Bucket=storage.BUCKET, Key=f"{PREFIX}pushes/{key}", Body=body)
        with self.changed:
            self.version += 1
            self.changed.notify_all()
        return version_of(files)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Agent:
    """The process; `directory` is its node's."""

    control: Control
    directory: Path
    address: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        bootstrap = self.directory / "bootstrap.json"
        settings = {
            "control_url": self.control.url, "node": self.control.node, "token": "once", "node_dir": str(self.directory),
            "address": self.address, "service_user": None, "shared_dir": str(self.directory / "shared"),
        }  # fmt: skip
        bootstrap.touch(mode=0o600)
        bootstrap.write_text(json.dumps(settings))
        with (self.directory / "agent.log").open("ab") as log:
            command = [str(program()), "agent", "--bootstrap", str(bootstrap)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """`kill -9`."""
        if self.process:
            self.process.kill()
            self.process.wait(10)


def _identity() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("scheduler.1.updraft.internal")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {"node_token": "token", "ca_pem": pem, "cert_pem": pem, "key_pem": private}
