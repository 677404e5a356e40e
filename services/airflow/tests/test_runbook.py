"""The runbook's SQL, run word for word by whom RDS has to give: an operator who makes databases and roles, and is no superuser."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import harness
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNBOOK = Path(__file__).resolve().parents[3] / "docs" / "runbook.md"
BLOCK = re.compile(r"```sql\n\s+-- control's server\n(.+?)\s+-- the metadata server\n(.+?)```", re.DOTALL)
# What control does for a cluster: services/store/src/metadata.rs.
CLUSTER = """
create role airflow_7 nologin;
grant airflow_7 to current_user;
alter role airflow_7 login;
create database airflow_7_unfinished allow_connections false;
revoke all on database airflow_7_unfinished from public;
alter database airflow_7_unfinished with allow_connections true;
alter database airflow_7_unfinished owner to airflow_7;
alter database airflow_7_unfinished rename to airflow_7;
revoke connect, temporary on database updraft from public;
"""


class Server:
    """On which an operator has what belongs to nobody else."""

    def __init__(self, postgres: harness.Postgres) -> None:
        self._postgres = postgres
        postgres.sql("create role operator login createdb createrole")
        for database in ("postgres", "template1"):
            postgres.sql(f"alter database {database} owner to operator")

    def run(self, user: str, database: str, script: str) -> subprocess.CompletedProcess[str]:
        dsn = self._postgres.dsn(database).replace("//postgres:", f"//{user}:")
        command = ["psql", dsn, "-XqtA", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        return subprocess.run(command, input=script, capture_output=True, text=True, check=False)

    def done(self, user: str, database: str, script: str) -> str:
        done = self.run(user, database, script)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stderr, done.stderr
        return done.stdout.strip()


@pytest.fixture
def server(postgres: harness.Postgres) -> Iterator[Server]:
    own = harness.Postgres(postgres.directory.parent / "runbook")
    try:
        own.start()
        yield Server(own)
    finally:
        own.stop()


def test_the_roles_of_the_runbook_are_made_by_an_operator_and_do_for_control(server: Server) -> None:
    found = BLOCK.search(RUNBOOK.read_text())
    assert found, "the runbook says no longer what this tries"
    for_control, for_metadata = found.groups()
    server.done("operator", "postgres", for_control)
    server.done("updraft", "updraft", "create table one (id int); create schema another")
    server.done("operator", "postgres", "drop database updraft; drop role updraft")

    server.done("operator", "postgres", for_metadata)
    server.done("updraft", "updraft", CLUSTER)
    assert server.done("airflow_7", "airflow_7", "select current_database()") == "airflow_7"
    for database in ("postgres", "template1", "updraft"):
        refused = server.run("airflow_7", database, "select")
        assert "permission denied for database" in refused.stderr, database
    server.done("updraft", "updraft", "drop database airflow_7 with (force); drop owned by airflow_7; drop role airflow_7")
