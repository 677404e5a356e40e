"""One installation for all tests, made by the first that asks; a second cluster for those that need a neighbour."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.airflow import Airflow
from harness.installation import Installation
from harness.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
DAGS = HERE / "dags"
DEMO = "demo"
NEIGHBOUR = "neighbour"
# Airflow notices a killed worker after this many seconds instead of after 300.
QUICK = {"scheduler.task_instance_heartbeat_timeout": "30"}
# What stops parts or the whole of it comes last.
ORDER = [
    "test_up",
    "test_cli",
    "test_edge",
    "test_browser",
    "test_passwords",
    "test_sso",
    "test_power",
    "test_kill",
    "test_control_away",
    "test_resume",
    "test_tunnels",
    "test_shared_host",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER) // 2)


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    this = Installation.of_environment()
    try:
        yield this.up()
    finally:
        if this.running():
            this.interrupt()


@pytest.fixture
def rest(installation: Installation) -> Rest:
    """Signed in as the first admin."""
    return installation.rest()


@pytest.fixture
def demo(installation: Installation, rest: Rest) -> dict[str, Any]:
    """The demo cluster, running."""
    if rest.phase(DEMO) == "stopped":
        rest.post(f"clusters/{rest.cluster(DEMO)['id']}/start")
    rest.wait_for_phase(DEMO, "running")
    return rest.cluster(DEMO)


@pytest.fixture
def demo_airflow(installation: Installation, rest: Rest, demo: dict[str, Any]) -> Airflow:
    return installation.airflow(demo["id"], rest)


@pytest.fixture
def neighbour(installation: Installation, rest: Rest) -> dict[str, Any]:
    """A second cluster beside the demo, running; its Airflow is quick to notice what died."""
    if all(cluster["name"] != NEIGHBOUR for cluster in rest.items("clusters")):
        rest.post("clusters", {"name": NEIGHBOUR, "config": QUICK})
    elif rest.phase(NEIGHBOUR) == "stopped":
        rest.post(f"clusters/{rest.cluster(NEIGHBOUR)['id']}/start")
    rest.wait_for_phase(NEIGHBOUR, "running")
    return rest.cluster(NEIGHBOUR)


@pytest.fixture
def neighbour_airflow(installation: Installation, rest: Rest, neighbour: dict[str, Any]) -> Airflow:
    return installation.airflow(neighbour["id"], rest)


@pytest.fixture
def person(rest: Rest) -> Callable[..., tuple[str, str]]:
    """Makes a member of the tenant with roles on clusters; answers with e-mail and password."""

    def make(name: str, roles: dict[int, str]) -> tuple[str, str]:
        email, password = f"{name}@example.com", f"{name}-has-a-long-password"
        known = [person for person in rest.items("people") if person["email"] == email]
        if not known:
            new = {"email": email, "name": name, "tenant_role": "member", "password": password}
            known = [rest.post("people", new)]
        for cluster, role in roles.items():
            rest.put(f"clusters/{cluster}/grants/{known[0]['user']}", {"role": role})
        return email, password

    return make


@pytest.fixture
def journey(installation: Installation) -> Callable[..., None]:
    """Runs one file of browser/ in real Chromium; what it prints is shown when it fails."""

    def run(file: str, **facts: object) -> None:
        known = {
            "console": installation.console,
            "admin": {"email": installation.email, "password": installation.password},
            "chromium": os.environ.get("UPDRAFT_TEST_CHROMIUM", "/usr/bin/chromium"),
            **facts,
        }
        environment = {**os.environ, "UPDRAFT_JOURNEY": json.dumps(known)}
        done = subprocess.run(
            ["node", "--test", "--test-reporter=spec", f"browser/{file}"],
            cwd=HERE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run
