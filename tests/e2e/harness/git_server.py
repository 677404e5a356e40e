"""A git repository behind OpenSSH's server."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path

from .waiting import wait_for

SSHD = "/usr/sbin/sshd"


class GitServer:
    """OpenSSH's server on loopback and a repository behind it."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "host")
        (root / "authorized").touch()
        self.run("git", "init", "-q", "--bare", "-b", "main", "dags.git")
        self.run("git", "clone", "-q", "dags.git", "work")
        options = {
            "ListenAddress": "127.0.0.1", "StrictModes": "no", "UsePAM": "no", "PidFile": "none",
            "HostKey": root / "host", "AuthorizedKeysFile": root / "authorized",
        }  # fmt: skip
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", "/dev/null", "-p", str(port), *words], stderr=subprocess.DEVNULL
        )
        wait_for("sshd", self.answers, 10)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self) -> str:
        return f"ssh://{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1:{self.port}{self.root}/dags.git"

    @property
    def known_hosts(self) -> Path:
        path = self.root / "known_hosts"
        path.write_text(f"[127.0.0.1]:{self.port} {(self.root / 'host.pub').read_text()}")
        return path

    def push(self, message: str, **files: str) -> str:
        for name, content in files.items():
            (self.root / "work" / f"{name}.py").write_text(content)
        git = ("git", "-C", "work", "-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        self.run(*git, "add", "--all")
        self.run(*git, "commit", "-q", "--allow-empty", "-m", message)
        self.run(*git, "push", "-q", "--force", "origin", "HEAD:main")
        return self.run(*git, "rev-parse", "HEAD").strip()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def run(self, *words: str) -> str:
        return subprocess.run(words, cwd=self.root, check=True, capture_output=True, text=True).stdout
