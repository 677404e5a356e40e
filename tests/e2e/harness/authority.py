"""A certificate authority of the tests' own, which an installation can be told to trust."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Authority:
    directory: Path

    @classmethod
    def at(cls, directory: Path) -> Authority:
        this = cls(directory)
        if not this.bundle.exists():
            directory.mkdir(exist_ok=True)
            this._openssl("-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests", "-days", "30")
            system = SYSTEM.read_text() if SYSTEM.exists() else ""
            this.bundle.write_text(system + (directory / "ca.pem").read_text())
        return this

    @property
    def bundle(self) -> Path:
        """What the system trusts, and this one."""
        return self.directory / "bundle.pem"

    def loopback(self) -> ssl.SSLContext:
        """For a server on 127.0.0.1."""
        name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30")
        issuer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE")
        self._openssl("-x509", "-keyout", "server.key", "-out", "server.pem", *name, *issuer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "server.pem", self.directory / "server.key")
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", "req", *KEY, *arguments], cwd=self.directory, check=True, capture_output=True)
