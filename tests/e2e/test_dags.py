"""DAGs pushed to a running cluster: receipts, import errors with their line, going back, a webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NEIGHBOUR
from harness.waiting import wait_for
from harness.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

DAG = """
from airflow.sdk import dag, task


@dag(dag_id="pushed", schedule=None)
def pushed():
    @task
    def says():
        return {word!r}

    says()


pushed()
"""
WAIT = ["--wait", "--timeout", "90s"]


@pytest.fixture
def pushing(rest: Rest, neighbour: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The neighbour's DAGs are pushed into a folder; afterwards they come from where they came from."""
    cluster = rest.cluster(NEIGHBOUR)
    bucket = {"folder": "samples", "source": cluster["spec"]["dag_sources"][0]["source"]}
    pushed = {"folder": "team_a", "source": {"kind": "push"}}
    change(rest, [bucket, pushed])
    yield cluster
    rest.ask("DELETE", f"clusters/{cluster['id']}/dags/pin")
    change(rest, cluster["spec"]["dag_sources"])


@pytest.fixture
def push(installation: Installation, rest: Rest, tmp_path: Path) -> Callable[..., Any]:
    """Writes one DAG file and pushes it, waiting for the receipt."""

    def run(content: str, *more: str) -> Any:
        (tmp_path / "team").mkdir(exist_ok=True)
        (tmp_path / "team" / "pushed.py").write_text(content)
        words = ["dags", "push", str(tmp_path / "team"), "--cluster", NEIGHBOUR, "--folder", "team_a", *WAIT, *more]
        return installation.cli(*words, token=rest.token)

    return run


def change(rest: Rest, sources: list[dict[str, Any]]) -> None:
    cluster = rest.cluster(NEIGHBOUR)
    seen = {"If-Match": f'"{cluster["generation"]}"'}
    answer = rest.ask("PATCH", f"clusters/{cluster['id']}", {"dag_sources": sources}, seen)
    assert answer.status == 202, answer.text
    wait_for("the change is done", lambda: rest.cluster(NEIGHBOUR)["operation"] is None, 60)


def pids(rest: Rest, cluster: int) -> dict[tuple[str, str], int]:
    return {(one["node_label"], one["name"]): one["pid"] for one in rest.items(f"clusters/{cluster}/services")}


def test_a_push_ends_with_its_receipt_and_a_rollback_brings_the_old_one_back(
    rest: Rest,
    installation: Installation,
    pushing: dict[str, Any],
    push: Callable[..., Any],
    neighbour_airflow: Airflow,
) -> None:
    before = pids(rest, pushing["id"])
    done = push(DAG.format(word="one"), "--message", "the first")
    assert done.code == 0, done.err
    for part in (installation.email, "on 3/3 nodes", "parsed at", "no import errors"):
        assert part in done.out, done.out
    assert neighbour_airflow.has_dag("pushed")
    first = rest.get(f"clusters/{pushing['id']}/dags")["current"]

    # Airflow by itself records a changed DAG at most each 30 s.
    renamed = push(DAG.format(word="two").replace("says", "answers"))
    assert renamed.code == 0, renamed.err
    tasks = neighbour_airflow.get("dags/pushed/tasks")["tasks"]
    assert [task["task_id"] for task in tasks] == ["answers"], "what the receipt called parsed is what runs"

    broken = push("from airflow.sdk import dag\nimport nowhere_to_be_found\n")
    assert broken.code == 5, broken.out + broken.err
    assert "team_a/pushed.py:2" in broken.err and "nowhere_to_be_found" in broken.err, broken.err

    back = installation.cli("dags", "rollback", first[:12], "--cluster", NEIGHBOUR, *WAIT, token=rest.token)
    assert back.code == 0, back.err
    state = rest.get(f"clusters/{pushing['id']}/dags")
    assert (state["current"], state["pinned"], state["nodes_on_live"]) == (first, first, 3)
    follow = installation.cli("dags", "follow", "--cluster", NEIGHBOUR, *WAIT, token=rest.token)
    assert follow.code == 5 and "nowhere_to_be_found" in follow.err, follow.err
    assert pids(rest, pushing["id"]) == before, "no service was restarted"


def test_a_signed_webhook_has_the_sources_looked_at(
    rest: Rest, installation: Installation, pushing: dict[str, Any]
) -> None:
    words = ["dags", "hook", "create", "--cluster", NEIGHBOUR, "--folder", "team_a", "-o", "json"]
    hook = installation.cli(*words, token=rest.token).json()
    asked = rest.get(f"clusters/{pushing['id']}/dags")["sync"]

    def call(secret: str) -> int:
        body = {"ref": "refs/heads/main"}
        sent = json.dumps(body).encode()
        signed = hmac.new(secret.encode(), sent, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signed}"}
        return int(Web().ask("POST", hook["url"], body, headers, follow=False).status)

    assert call("another secret") == 403
    assert call(hook["secret"]) == 202

    def looked() -> bool:
        state = rest.get(f"clusters/{pushing['id']}/dags")
        return bool(state["sync"] == asked + 1 and state["synced"] == asked + 1)

    wait_for("the sources were looked at", looked, 30)
