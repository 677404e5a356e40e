"""What DAGs bring along: plugins, and packages from an index of the tenant's own which demands a login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import DAGS, NEIGHBOUR
from harness import packages, processes
from harness.waiting import wait_for
from test_environments import change
from test_environments import processes as processes_of
from test_kill import pids, service_pids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.airflow import Airflow
    from harness.installation import Installation, Result
    from harness.rest import Rest

LOGIN = "reader:a-secret-that-nobody-may-see"
CREDENTIAL = "own-index"
PLUGINS = ("own_macro.py", "plugins/own_page.py")
BROUGHT = ("own_word.py", *PLUGINS)


@pytest.fixture(scope="module")
def indexes(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    usual = packages.serve(tmp_path_factory.mktemp("index"), installation.index_port)
    tls = installation.authority.loopback()
    own = packages.serve_own(tmp_path_factory.mktemp("own"), installation.own_index_port, LOGIN, tls)
    yield own
    own.close()
    usual.close()


def test_dags_bring_plugins_along_and_packages_from_an_index_that_demands_a_login(
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

        # Asks for nothing by itself: Updraft asks for what it finds.
        assert change(rest, neighbour, asked | {"from_dags": {"path": "requirements.txt"}})["state"] == "succeeded"
        for name in BROUGHT:
            installation.add_dag(rest, NEIGHBOUR, name, (DAGS / name).read_text())
        installation.add_dag(rest, NEIGHBOUR, "requirements.txt", "# ours\nonly_here==1.0\n")
        kill_in_mid_build(installation, rest, neighbour)
        wait_for("what the DAGs ask for is live", lambda: is_live(rest, neighbour, "only_here==1.0\n"), 120)
        newest = rest.items(f"clusters/{neighbour['id']}/operations")[0]
        assert (newest["state"], newest["requested_by"]) == ("succeeded", None), newest
        wait_for("the DAG is parsed", lambda: neighbour_airflow.has_dag("own_word"), 60)
        run = neighbour_airflow.trigger("own_word")
        assert neighbour_airflow.wait_for_run("own_word", run, 120) == "success"
        assert neighbour_airflow.result("own_word", run, "say") == "griaß di"
        assert_plugins_are_loaded(neighbour_airflow)

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
        # A source is not taken to be empty on purpose.
        installation.add_dag(rest, NEIGHBOUR, "steady.py", (DAGS / "steady.py").read_text())
        for name in (*BROUGHT, "requirements.txt"):
            installation.remove_dag(rest, NEIGHBOUR, name)
        installation.cli("dags", "sync", "--cluster", NEIGHBOUR, "--wait", token=rest.token)
        change(rest, neighbour, had)
    told = [
        path
        for path in installation.data_dir.rglob("*.log")
        if LOGIN.partition(":")[2] in path.read_text(errors="replace")
    ]
    assert told == [], "the secret is in no log"


@pytest.mark.soak
def test_a_broken_plugin_changes_nothing_and_a_rollback_takes_plugins_back(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], neighbour_airflow: Airflow
) -> None:
    def dags(*words: str) -> Result:
        return installation.cli("dags", *words, "--cluster", NEIGHBOUR, token=rest.token)

    before = processes_of(rest, neighbour)
    try:
        for name in PLUGINS:
            installation.add_dag(rest, NEIGHBOUR, name, (DAGS / name).read_text())
        synced = dags("sync", "--wait")
        assert synced.code == 0, synced.err
        assert processes_of(rest, neighbour) != before, "plugins are loaded by services that began after them"
        assert_plugins_are_loaded(neighbour_airflow)
        good, serving = dags("status", "--output", "json").json(), processes_of(rest, neighbour)

        installation.add_dag(rest, NEIGHBOUR, "plugins/broken.py", "import no_such_module\n")
        synced = dags("sync", "--wait")
        assert synced.code != 0
        assert "broken.py: No module named 'no_such_module'" in synced.err, synced.err
        assert_plugins_are_loaded(neighbour_airflow)
        # The version before has the plugins that are loaded: there is nothing to be built.
        back = dags("rollback", good["current"], "--wait")
        assert back.code == 0, back.err
        assert "environment" not in rest.cluster(NEIGHBOUR)
        assert processes_of(rest, neighbour) == serving, "nothing on a node changed"
    finally:
        installation.add_dag(rest, NEIGHBOUR, "steady.py", (DAGS / "steady.py").read_text())
        for name in (*PLUGINS, "plugins/broken.py"):
            installation.remove_dag(rest, NEIGHBOUR, name)
        for verb in ("follow", "sync"):
            dags(verb, "--wait")
    wait_for("there are no plugins", lambda: "plugins" not in rest.cluster(NEIGHBOUR)["spec"]["environment"], 60)


def assert_plugins_are_loaded(airflow: Airflow) -> None:
    page = airflow.web.get(f"{airflow.url}/own-page/hello")
    assert page.text == '"griaß di"', page.text
    run = airflow.trigger("own_macro")
    assert airflow.wait_for_run("own_macro", run, 120) == "success"
    assert airflow.result("own_macro", run, "say") == "griaß di"


def kill_in_mid_build(installation: Installation, rest: Rest, cluster: dict[str, Any]) -> None:
    """The agents that build and control that waits for them: nothing is lost but what was not done yet."""

    def is_checked() -> bool:
        newest = rest.items(f"clusters/{cluster['id']}/operations")[0]
        steps = {step["id"]: step["state"] for step in rest.get(f"operations/{newest['id']}")["steps"]}
        return steps.get("environment/check") == "running"

    wait_for("the build is in its middle", is_checked, 120, every=0.05)
    before = service_pids(rest, cluster["id"])
    victims = [pid for part in ("agent", "control") for pid in pids(part, installation, rest, cluster["id"])]
    for victim in victims:
        processes.kill(victim)
    wait_for("control is back", lambda: rest.cluster(NEIGHBOUR)["operation"], 60)
    wait_for("no node has changed", lambda: service_pids(rest, cluster["id"]) == before, 10)


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
