"""The way from a cluster's nodes to the metadata server, with both of Airflow's drivers, as control has them told.

The server is one as RDS is: it takes nobody without TLS, and its certificate is of an authority that no machine knows.
"""

from __future__ import annotations

import datetime
import json
import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import harness
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME, OTHER_NAME = "localhost", "127.0.0.1"
PASSWORD = "of-the-cluster"
# Both ways that Airflow connects, each with what became of it.
CONNECT = """
import asyncio, json, os
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

ENCRYPTED = text("select ssl from pg_stat_ssl where pid = pg_backend_pid()")

def directly():
    with create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]).connect() as connection:
        return connection.execute(ENCRYPTED).scalar()

async def asynchronously():
    async with create_async_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"]).connect() as connection:
        return (await connection.execute(ENCRYPTED)).scalar()

def told(connect):
    try:
        return "encrypted" if connect() else "in the clear"
    except Exception as error:
        return str(error)

print(json.dumps([told(directly), told(lambda: asyncio.run(asynchronously()))]))
"""


@dataclass
class Authority:
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(name, key, certified(key, name, key, name, []))

    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def certified(
    key: ec.EllipticCurvePrivateKey, name: str, by: ec.EllipticCurvePrivateKey, issuer: str, hosts: list[str]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    subject, of = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer))
    builder = x509.CertificateBuilder(of, subject, key.public_key(), x509.random_serial_number(), now - day, now + day)
    builder = builder.add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
    if hosts:
        named = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(named, critical=False)
    return builder.sign(by, hashes.SHA256())


@dataclass
class Server:
    postgres: harness.Postgres
    authority: Authority


@pytest.fixture(scope="module")
def server(postgres: harness.Postgres) -> Iterator[Server]:
    # Its user gets there as it does to the other's.
    directory = postgres.directory.parent / "secured"
    directory.mkdir()
    authority = Authority.new("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    own = certified(key, NAME, authority.key, authority.name, [NAME])
    plain = serialization.NoEncryption()
    files = {
        "server.pem": own.public_bytes(serialization.Encoding.PEM),
        "server.key": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    }
    for name, content in files.items():
        path = directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    settings = ("ssl=on", f"ssl_cert_file={directory}/server.pem", f"ssl_key_file={directory}/server.key")
    secured = harness.Postgres(directory, speaks_tls=True, settings=settings)
    try:
        secured.start()
        secured.sql(f"create role airflow_7 login password '{PASSWORD}'")
        secured.sql("create database airflow_7 owner airflow_7")
        (directory / "data" / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        secured.sql("select pg_reload_conf()")
        harness.wait_for("it takes nobody without TLS", lambda: "no encryption" in refused(secured), 20)
        yield Server(secured, authority)
    finally:
        secured.stop()


def refused(server: harness.Postgres) -> str:
    command = ["psql", f"{server.dsn('postgres')}?sslmode=disable", "-c", "select 1"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def told(environment: Path, home: Path, address: str, authority: Authority) -> list[str]:
    """What becomes of both connections on a node; DSNs and file as control renders them."""
    file = home / "work" / ".postgresql" / "root.crt"
    file.parent.mkdir(parents=True)
    file.write_text(authority.pem())
    at = f"airflow_7:{PASSWORD}@{address}/airflow_7"
    env = {
        "HOME": str(home / "work"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql://{at}?sslmode=verify-full&sslrootcert={file}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{at}?ssl=verify-full",
    }
    command = [str(environment / "bin/python"), "-B", "-c", CONNECT]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[str] = json.loads(done.stdout)
    assert len(answers) == 2
    return answers


def test_both_drivers_reach_the_server_that_the_authority_vouches_for(
    environment: Path, server: Server, tmp_path: Path
) -> None:
    answers = told(environment, tmp_path, f"{NAME}:{server.postgres.port}", server.authority)
    assert answers == ["encrypted", "encrypted"]


def test_both_drivers_refuse_one_that_another_authority_vouches_for(
    environment: Path, server: Server, tmp_path: Path
) -> None:
    for answer in told(environment, tmp_path, f"{NAME}:{server.postgres.port}", Authority.new("another")):
        assert "certificate verify failed" in answer.lower(), answer


def test_both_drivers_refuse_one_of_another_name(environment: Path, server: Server, tmp_path: Path) -> None:
    directly, asynchronously = told(
        environment, tmp_path, f"{OTHER_NAME}:{server.postgres.port}", server.authority
    )
    assert "does not match host name" in directly, directly
    assert "certificate is not valid for '127.0.0.1'" in asynchronously, asynchronously


def test_both_drivers_refuse_a_server_that_offers_no_encryption(
    environment: Path, server: Server, postgres: harness.Postgres, tmp_path: Path
) -> None:
    for answer in told(environment, tmp_path, f"{NAME}:{postgres.port}", server.authority):
        assert "ssl" in answer.lower(), answer
