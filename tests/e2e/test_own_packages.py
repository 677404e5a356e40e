"""Packages that the DAGs ask for themselves, from an index of the tenant's own which demands a login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, NEIGHBOUR
from harness import packages
from harness.waiting import wait_for
from test_environments import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

LOGIN = "reader:a-secret-that-nobody-may-see"
CREDENTIAL = "own-index"


@pytest.fixture(scope="module")
def indexes(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    usual = packages.serve(tmp_path_factory.mktemp("index"), installation.index_port)
    tls = installation.authority.loopback()
    own = packages.serve_own(tmp_path_factory.mktemp("own"), installation.own_index_port, LOGIN, tls)
    yield own
    own.close()
    usual.close()


def test_dags_bring_their_packages_along_from_an_index_that_demands_a_login(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], neighbour_airflow: Airflow, indexes: Any
) -> None:
    had = rest.cluster(NEIGHBOUR)["spec"]["environment"]
    index = {"url": indexes.url, "credential": CREDENTIAL}
    keep(rest, installation.own_index_port, "outdated")
    asked = {"package_index": index, "allow_source_builds": True}
    try:
        refused = change(rest, neighbour, asked | {"requirements": "only_here"})
        assert refused["failure"]["code"] == "environment_index_unreachable", refused
        assert "refuses the credential" in refused["failure"]["message"], refused

        keep(rest, installation.own_index_port, LOGIN.partition(":")[2])
        searched = change(rest, neighbour, asked | {"requirements": "nosy"})
        assert "nothing-was-found" in searched["failure"]["message"], searched

        installation.add_dag(rest, NEIGHBOUR, "requirements.txt", "# ours\nonly_here==1.0\n")
        installation.add_dag(rest, NEIGHBOUR, "own_word.py", (DAGS / "own_word.py").read_text())
        synced = installation.cli("dags", "sync", "--cluster", NEIGHBOUR, "--wait", token=rest.token)
        assert "only_here" in synced.err, "it does not import yet"
        # Asks for nothing by itself: Updraft asks for what it finds.
        assert change(rest, neighbour, asked | {"from_dags": {"path": "requirements.txt"}})["state"] == "succeeded"
        wait_for("what the DAGs ask for is live", lambda: is_live(rest, neighbour, "only_here==1.0\n"), 120)
        newest = rest.items(f"clusters/{neighbour['id']}/operations")[0]
        assert (newest["state"], newest["requested_by"]) == ("succeeded", None), newest
        wait_for("the DAG is parsed", lambda: neighbour_airflow.has_dag("own_word"), 60)
        run = neighbour_airflow.trigger("own_word")
        assert neighbour_airflow.wait_for_run("own_word", run, 120) == "success"
        assert neighbour_airflow.result("own_word", run, "say") == "griaß di"

        generation = rest.cluster(NEIGHBOUR)["generation"]
        installation.add_dag(rest, NEIGHBOUR, "requirements.txt", "only_here==1.0  # the same\n")
        synced = installation.cli("dags", "sync", "--cluster", NEIGHBOUR, "--wait", token=rest.token)
        assert synced.code == 0, synced.err
        assert rest.cluster(NEIGHBOUR)["generation"] == generation, "a comment builds nothing"

        installation.add_dag(rest, NEIGHBOUR, "requirements.txt", "only_here==1.0\n-r others.txt\n")
        synced = installation.cli("dags", "sync", "--cluster", NEIGHBOUR, "--wait", token=rest.token)
        assert synced.code != 0
        assert "line 2" in synced.err, synced.err
        seen = rest.cluster(NEIGHBOUR)
        assert seen["environment"]["state"] == "refused"
        assert seen["environment"]["live"]["found"]["requirements"] == "only_here==1.0\n"
    finally:
        change(rest, neighbour, had)
    told = [
        path
        for path in installation.data_dir.rglob("*.log")
        if LOGIN.partition(":")[2] in path.read_text(errors="replace")
    ]
    assert told == [], "the secret is in no log"


def keep(rest: Rest, port: int, secret: str) -> None:
    config = {"kind": "package_index", "host": f"127.0.0.1:{port}", "username": LOGIN.partition(":")[0]}
    known = [one["name"] for one in rest.items("credentials")]
    if CREDENTIAL in known:
        answer = rest.ask("PUT", f"credentials/{CREDENTIAL}", {"config": config, "secret": secret})
        assert answer.status == 200, answer.text
    else:
        rest.post("credentials", {"name": CREDENTIAL, "config": config, "secret": secret})


def is_live(rest: Rest, cluster: dict[str, Any], requirements: str) -> bool:
    seen = rest.cluster(cluster["name"])
    found = seen["spec"]["environment"].get("found") or {}
    return found.get("requirements") == requirements and "environment" not in seen and not seen["operation"]
