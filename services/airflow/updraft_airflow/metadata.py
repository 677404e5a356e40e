"""Looks at a metadata database that a tenant brings, before any service of Airflow is given the way to it.

The scheduler's node takes it for its cluster and has Airflow bring the schema up to date; other nodes wait until that
is done. Refused is what Airflow can't work with and what is somebody else's: nothing is written into a database that is
refused. Who has it stands in a table of its own there, ``updraft_owner``, so that two clusters never share one,
whichever installation they are of.

The DSN comes in the environment, as Airflow's own option. What is said goes to standard output as one line of JSON,
without the password. Airflow itself is not imported: a look costs a fraction of a second.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST = 13
CONNECT_SECONDS = 10
LOCK_SECONDS = 120
LONGEST = 900
# As libpq and the server say it.
NOT_LET_IN = ("authentication failed", "does not exist", "permission denied", "pg_hba", "no password")
NOT_SECURED = ("ssl", "certificate", "tls")
# Of one database; whoever looks at it takes turns.
LOCK = 0x7570_6472_6166_7401
REVISION = re.compile(r"^(revision|down_revision)(?:\s*:[^=]*)?\s*=\s*(.+)$", re.MULTILINE)
WORD = re.compile(r"""["']([0-9a-z_]+)["']""")

TABLES = """
select coalesce(array_agg(c.relname::text), '{}') from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not exists (
      select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
"""
MARK = """
create table if not exists updraft_owner (
    owner text not null, cluster text not null, airflow_url text not null, since timestamptz not null default now())
"""


class RefusedError(Exception):
    """The database is not used; the cause is a word of the agents' protocol."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Asked:
    dsn: str
    # Known to this cluster alone, and the same for as long as it lives.
    owner: str
    cluster: str
    airflow_url: str
    # The command that migrates, on the one node that does; empty: wait for it.
    migrate: list[str]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Asked:
        said = json.loads(environ["UPDRAFT_METADATA"])
        dsn = environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        return cls(dsn, said["owner"], said["cluster"], said["airflow_url"], said["migrate"])


@dataclass(frozen=True)
class Revisions:
    """What the installed Airflow knows of schemas."""

    known: frozenset[str]
    head: str

    @classmethod
    def installed(cls) -> Revisions:
        spec = find_spec("airflow")
        if spec is None or spec.origin is None:
            raise RefusedError("failed", "Airflow is not installed on the node.")
        known: set[str] = set()
        before: set[str] = set()
        for path in (Path(spec.origin).parent / "migrations" / "versions").glob("*.py"):
            for name, value in REVISION.findall(path.read_text()):
                (known if name == "revision" else before).update(WORD.findall(value))
        heads = known - before
        if len(heads) != 1:
            raise RefusedError("failed", f"The installed Airflow has {len(heads)} newest schemas instead of one.")
        return cls(frozenset(known), heads.pop())


def look(asked: Asked, revisions: Revisions) -> bool:
    """Whether the database is this cluster's and up to date; raises RefusedError."""
    connection = connect(asked.dsn)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            if not asked.migrate:
                return is_taken(cursor, asked) and revision(cursor) == revisions.head
            check_server(connection.server_version, cursor)
            take(cursor, asked, revisions)
            if revision(cursor) != revisions.head:
                migrate(asked)
            return revision(cursor) == revisions.head
    finally:
        connection.close()


def connect(dsn: str) -> Any:
    try:
        return psycopg2.connect(dsn, connect_timeout=CONNECT_SECONDS, application_name="updraft")
    except psycopg2.OperationalError as error:
        said = " ".join(str(error).split())
        raise RefusedError(*why_not(said)) from None


def why_not(said: str) -> tuple[str, str]:
    """The cause, and a sentence with the server's or driver's own words."""
    text = said.lower()
    if any(words in text for words in NOT_LET_IN):
        return "credentials", f"It does not let the user in: {said}"
    if any(words in text for words in NOT_SECURED):
        return "tls", f"The connection can't be secured: {said}"
    return "unreachable", f"It can't be reached: {said}"


def check_server(version: int, cursor: Any) -> None:
    major = version // 10_000
    if major < OLDEST:
        raise RefusedError("version", f"It is PostgreSQL {major}, and Airflow needs {OLDEST} or newer.")
    cursor.execute("select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean")
    if cursor.fetchone()[0]:
        raise RefusedError("rights", "It can only be read: name the server that takes writes.")
    cursor.execute("select current_schema(), current_user")
    schema, user = cursor.fetchone()
    if schema is None:
        raise RefusedError("rights", f"No schema of the search path of {user} is there, so no table can be made.")
    cursor.execute("select has_schema_privilege(%s, 'create')", (schema,))
    if not cursor.fetchone()[0]:
        raise RefusedError("rights", f"The user {user} may not make tables in the schema {schema}.")


def take(cursor: Any, asked: Asked, revisions: Revisions) -> None:
    """Takes it for this cluster, or refuses without having written anything."""
    cursor.execute("select set_config('lock_timeout', %s, false)", (f"{LOCK_SECONDS}s",))
    try:
        cursor.execute("select pg_advisory_lock(%s)", (LOCK,))
    except psycopg2.errors.LockNotAvailable:
        raise RefusedError("in_use", "Another cluster is looking at it, or bringing it up to date, just now.") from None
    taken = is_taken(cursor, asked)
    check_schema(cursor, revisions)
    if not taken:
        # One transaction: a mark without an owner would be nobody's.
        cursor.execute("begin")
        cursor.execute(MARK)
        mark = "insert into updraft_owner (owner, cluster, airflow_url) values (%s, %s, %s)"
        cursor.execute(mark, (asked.owner, asked.cluster, asked.airflow_url))
        cursor.execute("commit")


def is_taken(cursor: Any, asked: Asked) -> bool:
    """Whether it is this cluster's already; another's is refused."""
    cursor.execute("select to_regclass('updraft_owner') is not null")
    if not cursor.fetchone()[0]:
        return False
    try:
        cursor.execute("select owner, cluster, airflow_url, to_char(since, 'YYYY-MM-DD') from updraft_owner")
    except psycopg2.errors.InsufficientPrivilege:
        raise RefusedError("in_use", "It is in use by a cluster that connects as another user.") from None
    rows = cursor.fetchall()
    other = next((row for row in rows if row[0] != asked.owner), None)
    if other:
        _, cluster, url, since = other
        raise RefusedError(
            "in_use",
            f"It is in use by another cluster: cluster {cluster} at {url}, since {since}. On one database, two "
            "clusters would run each other's tasks. If that cluster is gone, or this is a copy of its database, run "
            "`drop table updraft_owner` in it, then start this cluster again.",
        )
    return bool(rows)


def check_schema(cursor: Any, revisions: Revisions) -> None:
    cursor.execute(TABLES)
    tables = set(cursor.fetchone()[0]) - {"updraft_owner"}
    current = revision(cursor)
    if not tables or current in revisions.known:
        return
    if current is None or "dag_run" not in tables:
        some = ", ".join(sorted(tables)[:3])
        raise RefusedError("foreign", f"It holds tables that are not Airflow's ({some}).")
    why = f"Its schema ({current}) is of a newer Airflow than the cluster's, and there is no safe way back."
    raise RefusedError("newer", why)


def revision(cursor: Any) -> str | None:
    cursor.execute("select to_regclass('alembic_version') is not null")
    if not cursor.fetchone()[0]:
        return None
    cursor.execute("select version_num from alembic_version")
    row = cursor.fetchone()
    return str(row[0]) if row else None


def migrate(asked: Asked) -> None:
    program, *arguments = asked.migrate
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(  # noqa: S603
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-4:]
        raise RefusedError("migration", f"Airflow's own migration of it failed: {' '.join(last)}")


def without_password(text: str, dsn: str) -> str:
    password = urlsplit(dsn).password or ""
    for secret in sorted({password, unquote(password)} - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def answer(environ: Mapping[str, str]) -> dict[str, str]:
    asked = Asked.of(environ)
    try:
        done = look(asked, Revisions.installed())
    except RefusedError as refusal:
        message = without_password(str(refusal), asked.dsn)
        return {"state": "refused", "cause": refusal.cause, "message": message[:LONGEST]}
    except psycopg2.Error as error:
        # It was there, and something went wrong on the way: the words are the server's.
        message = without_password(" ".join(str(error).split()), asked.dsn)
        return {"state": "refused", "cause": "failed", "message": f"The look at it was broken off: {message}"[:LONGEST]}
    return {"state": "done" if done else "waiting"}


if __name__ == "__main__":
    print(json.dumps(answer(os.environ)))
