"""Real identity providers: the certified `oidc-provider`, and pysaml2.

Their people, groups, keys and moods are in a file that a test rewrites meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .waiting import wait_for

IDP = Path(__file__).parents[1] / "idp"
SCRIPT = IDP / "oidc-provider.mjs"
CLIENT, SECRET = "updraft", "a-secret-of-the-tests-alone-0123456789"


@dataclass
class OidcProvider:
    directory: Path
    port: int
    state: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def file(self) -> Path:
        return self.directory / "idp.json"

    def write(self, **changes: object) -> None:
        """In one step: the provider never reads half a file."""
        self.state.update(changes)
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps(self.state))
        draft.replace(self.file)

    def know(self, addresses: dict[str, str]) -> None:
        """Registers Updraft as a client with the addresses that it gave out."""
        client = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [addresses["redirect_uri"]],
            "post_logout_redirect_uris": [addresses["post_logout_redirect_uri"]],
            "backchannel_logout_uri": addresses["backchannel_logout_uri"],
            "backchannel_logout_session_required": True,
        }
        self.write(clients=[client])

    def start(self) -> OidcProvider:
        self.write()
        log = self.directory / "idp.log"
        with log.open("wb") as output:
            command = ["node", str(SCRIPT), "--port", str(self.port), "--state", str(self.file)]
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        wait_for("the identity provider is ready", lambda: "ready" in log.read_text(errors="replace"), 30)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)


@dataclass
class SamlProvider:
    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def file(self) -> Path:
        return self.directory / "settings.json"

    def know(self, metadata: bytes) -> None:
        """Registers Updraft with the metadata that it gave out."""
        (self.directory / "sp" / "updraft.xml").write_bytes(metadata)

    def certificate(self, key: str) -> str:
        """Of a key that it publishes."""
        return (self.directory / f"{key}.certificate.pem").read_text()

    def start(self, people: dict[str, Any]) -> SamlProvider:
        self.file.write_text(json.dumps({"people": people, "published_keys": ["first", "second"]}))
        log = self.directory / "saml.log"
        with log.open("wb") as output:
            command = [sys.executable, "-W", "ignore", str(IDP / "saml_idp.py"), "serve", str(self.directory)]
            command += ["--port", str(self.port)]
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        wait_for("the SAML provider is ready", lambda: self.address in log.read_text(errors="replace"), 30)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
