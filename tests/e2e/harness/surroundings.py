"""What a booting node talks to: object store, metadata service and control, on one port of this machine."""

from __future__ import annotations

import datetime
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from types import TracebackType

NODE_TOKEN = "the-nodes-own"
METADATA = {"local-ipv4": "127.0.0.1", "instance-id": "i-0123456789abcdef0"}


@dataclass
class Surroundings:
    """`objects` by path; every request is remembered. A token that control does not know is refused.

    While it `hears`, control takes reports of nodes that it has taken.
    """

    address: str = "127.0.0.1"
    objects: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    shipped: dict[str, str] = field(default_factory=dict)
    hears: bool = True
    reports: int = 0

    def __enter__(self) -> Surroundings:
        self.server = ThreadingHTTPServer((self.address, 0), handler(self))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.server.server_port}"

    def asked(self, what: str) -> int:
        return sum(what in request for request in self.requests)


def identity() -> dict[str, str]:
    """What a node gets for its token; its certificate is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.7.updraft.internal")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("web.7.updraft.internal")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"node_token": NODE_TOKEN, "ca_pem": encoded, "cert_pem": encoded, "key_pem": private.decode()}


def handler(these: Surroundings) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            these.requests.append(f"GET {self.path}")
            name = self.path.split("?")[0]
            known = re.fullmatch(r"/latest/meta-data/([a-z0-9-]+)", name)
            if known and self.headers["X-aws-ec2-metadata-token"] == "session":
                return self.answer(200, METADATA[known[1]].encode())
            if name in these.objects:
                return self.answer(200, these.objects[name])
            if name.startswith("/agent/v1/"):
                return self.answer(503, b"")
            return self.answer(403, b"<Error><Code>AccessDenied</Code><Key>secret</Key></Error>")

        def do_PUT(self) -> None:
            these.requests.append(f"PUT {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/latest/api/token":
                return self.answer(200, b"session")
            these.shipped[self.path.split("?")[0]] = body.decode()
            return self.answer(200, b"")

        def do_POST(self) -> None:
            these.requests.append(f"POST {self.path}")
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            token = body.get("bootstrap_token")
            if self.path == "/agent/v1/report" and self.headers["Authorization"] == f"Bearer {NODE_TOKEN}":
                return self.take_report()
            if self.path != "/agent/v1/register":
                return self.answer(503, b"")
            if token not in these.tokens:
                return self.answer(401, b"")
            these.tokens.remove(token)
            return self.answer(200, json.dumps(identity()).encode(), "application/json")

        def take_report(self) -> None:
            if not these.hears:
                return self.answer(503, b"")
            these.reports += 1
            return self.answer(204, b"")

        def answer(self, status: int, body: bytes, kind: str = "application/octet-stream") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
