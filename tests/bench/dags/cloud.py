"""S3 and SQS as AWS has them, by moto, over TLS with an authority of our own."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from harness.waiting import wait_for

BUCKET = "team-dags"
PREFIX = "dags/"
ACCOUNT = "123456789012"
SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Cloud:
    directory: Path
    port: int
    moto: Path
    process: subprocess.Popen[bytes] | None = None
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def queue(self) -> str:
        return f"{self.url}/{ACCOUNT}/dag-events"

    @property
    def authority(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def authorities(self) -> Path:
        """The machine's and ours."""
        return self.directory / "authorities.pem"

    def certify(self) -> None:
        new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        authority = ["-subj", "/CN=bench", "-keyout", "ca.key", "-out", "ca.pem"]
        leaf = ["-subj", "/CN=127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem", "-CA", "ca.pem", "-CAkey", "ca.key"]
        leaf += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
        for more in (authority, leaf):
            subprocess.run([*new, *more], cwd=self.directory, check=True, capture_output=True)
        known = SYSTEM.read_text() if SYSTEM.exists() else ""
        self.authorities.write_text(known + self.authority.read_text())
        self.context.load_verify_locations(self.authority)

    def start(self) -> None:
        command = [str(self.moto), "-H", "127.0.0.1", "-p", str(self.port), "-s", "-c", "cert.pem", "-k", "key.pem"]
        with (self.directory / "moto.log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)
        wait_for("moto makes a bucket", lambda: self.ask("PUT", BUCKET) is not None, 60)
        asked = {"QueueName": "dag-events"}
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.CreateQueue"}
        self.ask("POST", "", json.dumps(asked).encode(), "sqs", headers)
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:dag-events"
        event = f"<Id>1</Id><Queue>{arn}</Queue><Event>s3:ObjectCreated:*</Event>"
        told = (
            f"<NotificationConfiguration><QueueConfiguration>{event}</QueueConfiguration></NotificationConfiguration>"
        )
        self.ask("PUT", f"{BUCKET}?notification", told.encode())

    def put(self, name: str, content: str) -> None:
        self.ask("PUT", f"{BUCKET}/{PREFIX}{name}", content.encode())

    def ask(
        self, method: str, path: str, body: bytes = b"", service: str = "s3", headers: dict[str, str] | None = None
    ) -> bytes:
        scope = f"access/20260101/us-east-1/{service}/aws4_request"
        # Of its own accord urllib says that it is a form.
        signed = {"content-type": "application/octet-stream"}
        signed["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x"
        asked = urllib.request.Request(f"{self.url}/{path}", body, {**signed, **(headers or {})}, method=method)
        with urllib.request.urlopen(asked, timeout=20, context=self.context) as answer:
            return bytes(answer.read())

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
