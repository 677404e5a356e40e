"""DAGs from git over ssh, on a running cluster: the receipt names commit and author, trouble leaves what was good."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NEIGHBOUR
from harness.git_server import SSHD, GitServer
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

DAG = """
from airflow.sdk import DAG

with DAG("from_git", schedule=None, tags=["{word}"]):
    pass
"""


@pytest.fixture
def server(installation: Installation, tmp_path: Path) -> Iterator[GitServer]:
    if not os.access(SSHD, os.X_OK) or not shutil.which("git"):
        pytest.skip("No sshd or git: install openssh-server and git")
    served = GitServer(tmp_path, installation.git_port)
    yield served
    served.end()


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
