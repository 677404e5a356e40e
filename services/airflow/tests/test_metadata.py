"""A metadata database that a tenant brings, looked at on a real Postgres by the program that nodes run."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import harness

PASSWORD = "sec%2Fret-of-ada"
# What Airflow's own migration leaves, for a look: seconds are spent on the real one where clusters are tried.
STAMP = """
import os, psycopg2
connection = psycopg2.connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
connection.autocommit = True
connection.cursor().execute(
    "create table if not exists dag_run (id int); create table if not exists alembic_version (version_num text);"
    "delete from alembic_version; insert into alembic_version values ('HEAD')")
"""
HEAD = (
    "from updraft_airflow.metadata import Revisions; r = Revisions.installed(); print(r.head, min(r.known - {r.head}))"
)
NUMBERS = itertools.count(1)


@dataclass
class Database:
    """A database of its own with its own role, and the look at it."""

    python: Path
    server: harness.Postgres
    name: str
    head: str
    older: str

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.name}:{PASSWORD}@127.0.0.1:{self.server.port}/{self.name}?sslmode=disable"

    def sql(self, statement: str) -> str:
        return self.server.sql(f"set role {self.name}; {statement}", self.name).removeprefix("SET").strip()

    def look(
        self, owner: str = "one", *, migrates: bool = True, dsn: str | None = None, migrate: str = STAMP
    ) -> dict[str, str]:
        asked = {
            "owner": owner,
            "cluster": "7",
            "airflow_url": f"http://{owner}.example",
            "migrate": ["python", "-c", migrate.replace("HEAD", self.head)] if migrates else [],
        }
        env = {"UPDRAFT_METADATA": json.dumps(asked), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": dsn or self.dsn}
        # The package itself is what runs: no bytecode beside it.
        command = [str(self.python), "-B", "-m", "updraft_airflow.metadata"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        assert "sec/ret-of-ada" not in done.stdout + done.stderr
        answer: dict[str, str] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="module")
def revisions(environment: Path) -> list[str]:
    command = [str(environment / "bin/python"), "-B", "-c", HEAD]
    return str(subprocess.run(command, check=True, capture_output=True, text=True).stdout).split()


@pytest.fixture
def database(environment: Path, postgres: harness.Postgres, revisions: list[str]) -> Database:
    name = f"brought_{next(NUMBERS)}"
    postgres.sql(f"create role {name} login password 'sec/ret-of-ada'")
    postgres.sql(f"create database {name} owner {name}")
    return Database(environment / "bin/python", postgres, name, *revisions)


def test_an_empty_database_is_taken_migrated_and_then_good_for_all(database: Database) -> None:
    assert database.look(migrates=False) == {"state": "waiting"}, "nobody has taken it"
    assert database.look() == {"state": "done"}
    assert database.look(migrates=False) == {"state": "done"}
    assert database.look() == {"state": "done"}, "a second node of the same cluster"
    assert database.sql("select owner, cluster, airflow_url from updraft_owner") == "one|7|http://one.example"


def test_an_older_schema_is_brought_up_to_date(database: Database) -> None:
    database.sql(
        f"create table dag_run (id int); create table alembic_version (version_num text); insert into alembic_version values ('{database.older}')"
    )
    assert database.look() == {"state": "done"}
    assert database.sql("select version_num from alembic_version") == database.head


def test_a_second_cluster_is_refused_and_told_how_to_take_it_over(database: Database) -> None:
    database.look("one")
    for migrates in (True, False):
        refused = database.look("two", migrates=migrates)
        assert (refused["state"], refused["cause"]) == ("refused", "in_use")
        assert "cluster 7 at http://one.example" in refused["message"]
        assert "drop table updraft_owner" in refused["message"]
    database.sql("drop table updraft_owner")
    assert database.look("two") == {"state": "done"}
    assert database.look("one")["cause"] == "in_use"


def test_what_is_refused_is_left_as_it_was(database: Database) -> None:
    database.sql("create table invoices (id int)")
    refused = database.look()
    assert refused["cause"] == "foreign"
    assert "invoices" in refused["message"]
    assert database.sql("select to_regclass('updraft_owner') is null") == "t"
    database.sql(
        "drop table invoices; create table dag_run (id int); create table alembic_version (version_num text); insert into alembic_version values ('fromafar')"
    )
    refused = database.look()
    assert refused["cause"] == "newer"
    assert "fromafar" in refused["message"]
    assert database.sql("select to_regclass('updraft_owner') is null") == "t"


def test_a_user_who_may_make_no_table_is_refused(database: Database) -> None:
    name = database.name
    database.server.sql(
        f"alter database {name} owner to postgres; revoke all on database {name} from public; grant connect on database {name} to {name}"
    )
    database.server.sql(f"revoke all on schema public from public; grant usage on schema public to {name}", name)
    refused = database.look()
    assert refused["cause"] == "rights"
    assert f"{name} may not make tables" in refused["message"]
    database.server.sql(
        f"grant create on schema public to {name}; alter role {name} set default_transaction_read_only = on", name
    )
    refused = database.look()
    assert (refused["cause"], "takes writes" in refused["message"]) == ("rights", True)


def test_a_connection_that_is_not_made_says_whose_fault_it_is(database: Database) -> None:
    port = database.server.port
    for dsn, cause in [
        (database.dsn.replace(f":{port}", ":1"), "unreachable"),
        (database.dsn.replace(f"//{database.name}", "//nobody_there"), "credentials"),
        (database.dsn.replace(f"/{database.name}?", "/nothing_there?"), "credentials"),
        (database.dsn.replace("sslmode=disable", "sslmode=require"), "tls"),
    ]:
        refused = database.look(dsn=dsn)
        assert (refused["state"], refused["cause"]) == ("refused", cause), refused


def test_a_migration_that_fails_says_why_without_the_password(database: Database) -> None:
    refused = database.look(migrate=f"raise SystemExit('no room on {PASSWORD}')")
    assert refused["cause"] == "migration"
    assert refused["message"].endswith("no room on ***")
    assert database.look() == {"state": "done"}, "it was taken, and is tried again"
