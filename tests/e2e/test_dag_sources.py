"""DAGs from git over ssh, on a running cluster: the receipt names commit and author, trouble leaves what was good."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NEIGHBOUR
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

SSHD = "/usr/sbin/sshd"
DAG = """
from airflow.sdk import DAG

with DAG("from_git", schedule=None, tags=["{word}"]):
    pass
"""


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

    def run(self, *words: str) -> str:
        return subprocess.run(words, cwd=self.root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def server(installation: Installation, tmp_path: Path) -> Iterator[GitServer]:
    if not os.access(SSHD, os.X_OK) or not shutil.which("git"):
        pytest.skip("No sshd or git: install openssh-server and git")
    served = GitServer(tmp_path, installation.git_port)
    yield served
    served.process.terminate()
    served.process.wait(10)


def change(rest: Rest, sources: list[dict[str, Any]]) -> None:
    cluster = rest.cluster(NEIGHBOUR)
    seen = {"If-Match": f'"{cluster["generation"]}"'}
    answer = rest.ask("PATCH", f"clusters/{cluster['id']}", {"dag_sources": sources}, seen)
    assert answer.status == 202, answer.text
    wait_for("the change is done", lambda: rest.cluster(NEIGHBOUR)["operation"] is None, 60)


def test_a_commit_becomes_a_receipt_and_a_lost_branch_leaves_what_was_good(
    rest: Rest, installation: Installation, neighbour: dict[str, Any], neighbour_airflow: Airflow, server: GitServer
) -> None:
    words = ["credential", "create", "ssh-key", "deploy", "--known-hosts", str(server.known_hosts)]
    made = installation.cli(*words, token=rest.token)
    assert made.code == 0, made.err
    public = next(line for line in (made.out + made.err).splitlines() if "ssh-ed25519 " in line)
    (server.root / "authorized").write_text(public[public.index("ssh-ed25519") :] + "\n")
    commit = server.push("The first DAG", one=DAG.format(word="first"))
    before = rest.cluster(NEIGHBOUR)["spec"]["dag_sources"]
    git = {"kind": "git", "url": server.url, "ref": "main", "path": "", "submodules": False, "credential": "deploy"}
    try:
        change(rest, [{"folder": "samples", "source": before[0]["source"]}, {"folder": "team", "source": git}])
        dags = f"clusters/{neighbour['id']}/dags"
        wait_for("the commit's receipt", lambda: commit in str(rest.get(dags)), 60)
        wait_for("the DAG", lambda: neighbour_airflow.has_dag("from_git"), 60)

        server.run("git", "-C", "dags.git", "update-ref", "-d", "refs/heads/main")
        installation.cli("dags", "sync", "--cluster", NEIGHBOUR, token=rest.token)
        wait_for("the reason", lambda: "no branch or tag `main`" in str(rest.get(dags)), 60)
        assert neighbour_airflow.has_dag("from_git")

        again = server.push("The second", one=DAG.format(word="second"))
        installation.cli("dags", "sync", "--cluster", NEIGHBOUR, token=rest.token)
        wait_for("the next receipt", lambda: again in str(rest.get(dags)), 60)
        wait_for("trouble to be over", lambda: "no branch or tag" not in str(rest.get(dags)["sources"]), 60)
    finally:
        change(rest, before)
        installation.cli("credential", "delete", "deploy", token=rest.token)
