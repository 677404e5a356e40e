"""Journeys in real Chromium; each is a file of browser/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

SAMPLE = Path(__file__).parents[2] / "infra" / "sample-dags" / "hello_updraft.py"
HOSTILE = Path(__file__).parent / "hostile" / "evil_plugin.py"


def cluster(installation: Installation, view: dict[str, Any]) -> dict[str, Any]:
    return {"id": view["id"], "name": view["name"], "url": installation.airflow_url(view["id"])}


def test_sign_in_by_hand_over(journey: Callable[..., None], installation: Installation, demo: dict[str, Any]) -> None:
    journey("sign_in.test.mjs", demo=cluster(installation, demo))


def test_console(journey: Callable[..., None], installation: Installation, demo: dict[str, Any]) -> None:
    journey("console.test.mjs", demo=cluster(installation, demo))


def test_crawl_of_airflow(
    journey: Callable[..., None],
    installation: Installation,
    rest: Rest,
    demo: dict[str, Any],
    neighbour: dict[str, Any],
    neighbour_airflow: Airflow,
) -> None:
    installation.add_dag(rest, "neighbour", SAMPLE.name, SAMPLE.read_text())
    wait_for("the sample DAG has run", lambda: "success" in states(neighbour_airflow), 120)
    clusters = [cluster(installation, demo), cluster(installation, neighbour)]
    journey("crawl.test.mjs", clusters=clusters)


def test_cluster_user(
    journey: Callable[..., None],
    installation: Installation,
    demo: dict[str, Any],
    person: Callable[..., tuple[str, str]],
) -> None:
    email, password = person("ulla", {demo["id"]: "user"})
    journey("cluster_user.test.mjs", demo=cluster(installation, demo), user={"email": email, "password": password})


def test_hostile_cluster(
    journey: Callable[..., None],
    installation: Installation,
    rest: Rest,
    demo: dict[str, Any],
    neighbour: dict[str, Any],
) -> None:
    """Spike (b): the neighbour serves hostile pages, scripts and headers to a person who may see both."""
    web_node = next(node for node in rest.items(f"clusters/{neighbour['id']}/nodes") if node["role"] == "web")
    places = list(installation.data_dir.glob(f"nodes/*{web_node['id']}*/**/work/plugins"))
    assert places, "the web node's plugins folder was not found"
    before = len(rest.items(f"clusters/{demo['id']}/operations"))
    for place in places:
        (place / HOSTILE.name).write_text(HOSTILE.read_text())
    try:
        restart(installation, rest)
        journey("hostile.test.mjs", victim=cluster(installation, demo), hostile=cluster(installation, neighbour))
    finally:
        for place in places:
            (place / HOSTILE.name).unlink()
        restart(installation, rest)
    assert rest.cluster("demo")["power"] == "running"
    assert len(rest.items(f"clusters/{demo['id']}/operations")) == before, "a forged request was carried out"


def restart(installation: Installation, rest: Rest) -> None:
    words = ["cluster", "services", "restart", "neighbour", "api-server", "--wait", "--timeout", "3m"]
    done = installation.cli(*words, token=rest.token)
    assert done.code == 0, done.err


def states(airflow: Airflow) -> list[str]:
    return [run["state"] for run in airflow.runs(SAMPLE.stem)] if airflow.has_dag(SAMPLE.stem) else []
