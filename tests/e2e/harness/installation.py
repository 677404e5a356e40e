"""One `updraft up` on a data directory of its own: started, read, stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .airflow import Airflow
from .authority import Authority
from .rest import Rest
from .storage import Storage
from .waiting import wait_for

FIRST_UP = 900.0
STOP = 120.0


@dataclass
class Installation:
    data_dir: Path
    port_base: int
    binary: Path = field(default_factory=lambda: Path(os.environ["UPDRAFT_BIN"]))
    email: str = ""
    password: str = ""
    wrapper: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default_factory=Path)
    last_start: float = 0.0
    admin: Rest | None = None

    @classmethod
    def of_environment(cls) -> Installation:
        named = os.environ.get("UPDRAFT_E2E_DATA_DIR")
        # Services run as users of their own as root: they must be able to pass.
        data_dir = Path(named) if named else Path(tempfile.mkdtemp(prefix="updraft-e2e-")) / "data"
        data_dir.parent.chmod(0o755)
        this = cls(data_dir, free_port_base())
        if this.notes.exists():
            kept = json.loads(this.notes.read_text())
            this.port_base, this.email, this.password = kept["port_base"], kept["email"], kept["password"]
        return this

    @property
    def notes(self) -> Path:
        """What a later run on the same data directory must know: the password is printed once only."""
        return self.data_dir.with_name(self.data_dir.name + ".test.json")

    @property
    def console(self) -> str:
        return f"http://localhost:{self.port_base}"

    @property
    def idp_port(self) -> int:
        """Where the identity provider of the tests listens: the installation lets its tenants reach it."""
        return self.port_base + 18

    @property
    def smtp_port(self) -> int:
        """Where the mail server of the tests listens, when one does."""
        return self.port_base + 17

    @property
    def index_port(self) -> int:
        """Where the package index of the tests listens, when it does."""
        return self.port_base + 16

    @property
    def git_port(self) -> int:
        """Where the git server of the tests listens, when it does: clusters may read from it."""
        return self.port_base + 15

    @property
    def own_index_port(self) -> int:
        """Where a tenant's own package index listens, when it does."""
        return self.port_base + 14

    @property
    def own_database_port(self) -> int:
        """Where a tenant's own Postgres listens, when it does."""
        return self.port_base + 20

    @property
    def authority(self) -> Authority:
        """Whom the installation trusts besides those whom the system does."""
        return Authority.at(self.data_dir.with_name(f"{self.data_dir.name}.authority"))

    @property
    def saml_port(self) -> int:
        """Only browsers go there."""
        return self.port_base + 19

    def airflow_url(self, cluster: int) -> str:
        return f"http://127.0.{cluster >> 8}.{cluster & 255}:{self.port_base + 1}/airflow-webserver-{cluster}/"

    # === life ===

    def up(self, *arguments: str, seconds: float = FIRST_UP) -> Installation:
        """Returns when the addresses were printed."""
        self.log = self.data_dir.with_name(f"{self.data_dir.name}.up-{int(time.time() * 1000)}.log")
        command = [*self.wrapper, str(self.binary), "up", "--data-dir", str(self.data_dir)]
        command += ["--port-base", str(self.port_base), "--yes", *arguments]
        command += ["--outbound-allow", f"127.0.0.1:{self.idp_port}", "--identity-refresh", "5s"]
        command += ["--scale-in-after", "3s"]
        command += ["--outbound-allow", f"127.0.0.1:{self.git_port}"]
        command += ["--outbound-allow", f"127.0.0.1:{self.own_index_port}"]
        command += ["--outbound-allow", f"127.0.0.1:{self.own_database_port}"]
        command += ["--smtp-url", f"smtp://127.0.0.1:{self.smtp_port}", "--mail-from", "Updraft <updraft@example.com>"]
        command += ["--package-index", f"http://127.0.0.1:{self.index_port}/simple"]
        begun = time.monotonic()
        with self.log.open("wb") as log:
            trusting = {**os.environ, "SSL_CERT_FILE": str(self.authority.bundle)}
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=trusting
            )
        wait_for("`updraft up` is ready", self._is_ready, seconds)
        self.last_start = time.monotonic() - begun
        self._remember()
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"`updraft up` ended with {self.process.returncode}:\n{self.output()[-6000:]}")
        text = self.output()
        return self.console in text and "/airflow-webserver-" in text

    def output(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.log.read_text(errors="replace"))

    def _remember(self) -> None:
        text = self.output()
        email = re.search(r"[\w.+-]+@[\w.-]+", text)
        password = re.search(r"[Pp]assword\W*[:\s]\s*(\S{8,})", text)
        if email and password:
            self.email, self.password = email.group(), password.group(1)
        assert self.email and self.password, f"no credentials were printed:\n{text[-4000:]}"
        self.notes.write_text(json.dumps({"port_base": self.port_base, "email": self.email, "password": self.password}))

    def interrupt(self, seconds: float = STOP) -> int:
        """Ctrl-C; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(seconds)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    # === use ===

    def rest(self) -> Rest:
        """The first admin, signed in once: more would meet the rate limit."""
        if self.admin is None:
            self.admin = self.sign_in()
        return self.admin

    def sign_in(self) -> Rest:
        return Rest.sign_in(self.console, self.email, self.password)

    def storage(self) -> Storage:
        return Storage.of(self.data_dir, self.port_base + 5)

    def airflow(self, cluster: int, rest: Rest | None = None) -> Airflow:
        token = (rest or self.rest()).token
        return Airflow.open(self.console, self.airflow_url(cluster), token or "")

    def add_dag(self, rest: Rest, cluster: str, name: str, source: str) -> None:
        self.storage().put_dag(rest.cluster(cluster)["dag_location"], name, source)

    def remove_dag(self, rest: Rest, cluster: str, name: str) -> None:
        self.storage().remove_dag(rest.cluster(cluster)["dag_location"], name)

    def cli(self, *arguments: str, token: str | None = None, home: Path | None = None, **options: Any) -> Result:
        home = home or self.data_dir.with_name(self.data_dir.name + ".home")
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "UPDRAFT_URL": self.console}
        environment.pop("UPDRAFT_TOKEN", None)
        if token:
            environment["UPDRAFT_TOKEN"] = token
        done = subprocess.run(
            [str(self.binary), *arguments], env=environment, capture_output=True, text=True, timeout=600, **options
        )
        return Result(done.returncode, done.stdout, done.stderr)


@dataclass
class Result:
    """What a command said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, f"exit {self.code}: {self.err}"
        return json.loads(self.out)


def free_port_base() -> int:
    """Twenty-one free ports in a row, below the range the kernel hands out by itself."""
    for base in range(17700, 32000, 100):
        if all(is_free(base + offset) for offset in range(21)):
            return base
    raise AssertionError("no free ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
