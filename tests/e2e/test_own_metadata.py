"""A metadata database that the tenant brings, on a server of its own: it outlives the cluster, and serves one alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.own_database import OwnServer
from harness.processes import left_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.installation import Installation
    from harness.own_database import OwnDatabase
    from harness.rest import Rest

NAME = "brings"
DAG = "brought"
SOURCE = """
from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False)
def brought():
    @task
    def hello():
        return "hello"

    hello()


brought()
"""


@pytest.fixture(scope="module")
def server(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    place = tmp_path_factory.mktemp("own-postgres")
    for above in (place, *place.parents):
        if above.owner() == "root" and str(above).startswith("/tmp/"):
            above.chmod(above.stat().st_mode | 0o011)
    this = OwnServer(place, installation.own_database_port)
    yield this
    this.close()


@pytest.fixture
def database(server: OwnServer) -> OwnDatabase:
    return server.database("tenants_airflow")


@pytest.mark.soak
def test_a_database_of_the_tenants_own_outlives_its_cluster_and_serves_one_at_a_time(
    installation: Installation, rest: Rest, database: OwnDatabase, tmp_path: Path
) -> None:
    (tmp_path / "dsn").write_text(database.dsn)
    brings = ["--metadata-dsn-file", str(tmp_path / "dsn")]

    def cluster(*words: str) -> Any:
        done = installation.cli("cluster", *words, "--timeout", "6m", token=rest.token)
        assert not any(secret in done.out + done.err for secret in database.secrets())
        return done

    made = cluster("create", NAME, *brings, "--wait")
    assert made.code == 0, made.err
    shown = rest.cluster(NAME)
    assert shown["spec"]["metadata_database"]["sslmode"] == "disable"
    airflow = installation.airflow(shown["id"], rest)
    installation.add_dag(rest, NAME, "brought.py", SOURCE)
    run = airflow.trigger(DAG)
    assert airflow.wait_for_run(DAG, run) == "success"
    assert database.sql(f"select state from dag_run where run_id = '{run}'") == "success"
    assert database.sql("select cluster from updraft_owner") == str(shown["id"])
    nobody_sees(installation, rest, shown["id"], database)

    # Another cluster's it stays while this one stands still, too.
    assert cluster("stop", NAME, "--wait").code == 0
    second = cluster("create", "second", *brings, "--wait")
    assert second.code == 5, second.err
    assert f"in use by another cluster: cluster {shown['id']}" in second.err
    assert "drop table updraft_owner" in second.err
    nobody_sees(installation, rest, rest.cluster("second")["id"], database)
    refused = rest.items(f"clusters/{rest.cluster('second')['id']}/events")
    assert any(event["kind"] == "metadata_database_refused" for event in refused), refused
    assert cluster("delete", "second", "--yes", "--wait").code == 0
    assert database.sql("select cluster from updraft_owner") == str(shown["id"])

    assert cluster("start", NAME, "--wait").code == 0
    airflow = installation.airflow(shown["id"], rest)
    assert run in {one["dag_run_id"] for one in airflow.runs(DAG)}
    running = cluster("update", NAME, *brings, "--wait")
    assert running.code != 0 and "Stop the cluster" in running.err, running.err

    # It stays the cluster's with other keys, too: none of them is what it is known by.
    turned = cluster("rotate-keys", NAME, "--wait")
    assert turned.code == 0, turned.err
    assert run in {one["dag_run_id"] for one in installation.airflow(shown["id"], rest).runs(DAG)}

    deleted = cluster("delete", NAME, "--yes", "--wait", "-o", "json")
    assert deleted.code == 0, deleted.err
    assert "Leave your metadata database as it is" in deleted.out + deleted.err
    assert database.sql(f"select state from dag_run where run_id = '{run}'") == "success"


def nobody_sees(installation: Installation, rest: Rest, cluster: int, database: OwnDatabase) -> None:
    """The password is on no command line, in no log of the cluster's nodes, and in nothing that REST says."""
    for pid, line in left_over(installation.data_dir).items():
        assert not any(secret in line for secret in database.secrets()), f"process {pid}"
    said = [rest.ask("GET", f"clusters/{cluster}{part}").text for part in ("", "/events", "/operations", "/nodes")]
    said += [rest.ask("GET", "audit").text, installation.output()]
    logs = [path for path in installation.data_dir.rglob("*.log") if path.is_file()]
    assert logs
    said += [path.read_text(errors="replace") for path in logs]
    assert not any(secret in text for text in said for secret in database.secrets())
