"""Every key of a cluster becomes another: what was encrypted stays readable, and no old key opens anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from conftest import NEIGHBOUR
from cryptography.fernet import Fernet, InvalidToken
from harness.waiting import wait_for
from harness.web import Web

if TYPE_CHECKING:
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

DAG = "opens"
PASSWORD = "kept-password-3b8e"
SOURCE = """
import time
from datetime import datetime, timezone
from airflow.sdk import BaseHook, dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def opens():
    @task
    def before(seconds: str) -> str:
        time.sleep(int(seconds))
        return BaseHook.get_connection("vault").password

    @task
    def after(told: str) -> list[str]:
        return [told, BaseHook.get_connection("vault").password]

    after(before("{{ dag_run.conf['seconds'] }}"))

opens()
"""


@dataclass
class Keys:
    """What the nodes of one cluster know, as their agents keep it."""

    fernet: str
    jwt: str
    dsn: str
    broker: str
    certificate: str
    key: str
    scheduler: str
    web: str

    @classmethod
    def of(cls, installation: Installation, cluster: int) -> Keys:
        nodes = {}
        for path in (installation.data_dir / "nodes").glob("*/agent/assignment.json"):
            assignment = json.loads(path.read_text())
            if assignment["cluster"] == cluster:
                nodes[assignment["role"]] = (path, assignment)
        path, scheduler = nodes["scheduler"]
        identity = json.loads(path.with_name("identity.json").read_text())
        service = next(service for service in scheduler["services"] if service["name"] == "scheduler")
        env = service["env"]
        return cls(
            env["AIRFLOW__CORE__FERNET_KEY"],
            env["AIRFLOW__API_AUTH__JWT_SECRET"],
            env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
            urlsplit(env["AIRFLOW__CELERY__BROKER_URL"]).password or "",
            identity["cert_pem"],
            identity["key_pem"],
            env["UPDRAFT_ADDRESS"],
            next(s["env"]["UPDRAFT_ADDRESS"] for s in nodes["web"][1]["services"] if s["name"] == "api-server"),
        )

    def secrets(self) -> dict[str, str]:
        password = urlsplit(self.dsn).password or ""
        return {
            "fernet": self.fernet,
            "jwt": self.jwt,
            "database": password,
            "broker": self.broker,
            "certificate": self.certificate.splitlines()[-2],
            "key": self.key.splitlines()[1],
        }


def sql(installation: Installation, dsn: str, statement: str) -> subprocess.CompletedProcess[str]:
    found = (path for path in installation.data_dir.glob("**/bin/psql") if path.stat().st_mode & 0o111)
    command = [str(next(found)), dsn, "-tAc", statement]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def broker_takes(address: str, password: str) -> bool:
    with socket.create_connection((address, 6379), 10) as broker:
        broker.sendall(f"AUTH {password}\r\n".encode())
        return broker.recv(100).startswith(b"+OK")


def relay_takes(keys: Keys, address: str, directory: Path) -> bool:
    """Whether the node there lets in who shows this certificate. The answer comes with the first byte that is read."""
    (directory / "cert.pem").write_text(keys.certificate)
    (directory / "key.pem").write_text(keys.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    try:
        with socket.create_connection((address, 7443), 10) as plain, context.wrap_socket(plain) as relay:
            relay.sendall(b"6379\n")
            return relay.recv(1) == b"+"
    except (ssl.SSLError, ConnectionError):
        return False


def token(secret: str) -> str:
    """As the scheduler signs a task's."""

    def part(of: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=")

    now = int(time.time())
    claims: dict[str, object] = {"sub": str(uuid.uuid4()), "jti": uuid.uuid4().hex}
    claims["aud"] = "urn:airflow.apache.org:task"
    claims |= {"iat": now, "nbf": now, "exp": now + 600}
    signed = part({"alg": "HS512", "typ": "JWT", "kid": "not-used"}) + b"." + part(claims)
    signature = hmac.digest(secret.encode(), signed, hashlib.sha512)
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def execution_answers(keys: Keys, cluster: int, secret: str) -> int:
    url = f"http://{keys.web}:8080/airflow-webserver-{cluster}/execution/connections/vault"
    return Web().ask("GET", url, None, {"Authorization": f"Bearer {token(secret)}"}, follow=False).status


def opens(key: str, encrypted: str) -> bool:
    try:
        return Fernet(key).decrypt(encrypted.encode()).decode() == PASSWORD
    except InvalidToken:
        return False


def lies_below(directory: Path, secrets: dict[str, str]) -> list[str]:
    found = []
    for path in directory.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        except OSError:
            continue
        found += [f"{name} in {path}" for name, secret in secrets.items() if secret.encode() in content]
    return found


@pytest.mark.soak
def test_rotated_keys_open_nothing_and_what_they_kept_stays_readable(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], neighbour_airflow: Airflow, tmp_path: Path
) -> None:
    cluster, airflow = neighbour["id"], neighbour_airflow
    vault = {"connection_id": "vault", "conn_type": "generic", "password": PASSWORD}
    assert airflow.ask("POST", "connections", vault).status in (201, 409)
    installation.add_dag(rest, NEIGHBOUR, f"{DAG}.py", SOURCE)
    old = Keys.of(installation, cluster)
    row = "select password from connection where conn_id = 'vault'"
    assert opens(old.fernet, sql(installation, old.dsn, row).stdout.strip())
    assert broker_takes(old.scheduler, old.broker) and relay_takes(old, old.scheduler, tmp_path)
    good = execution_answers(old, cluster, old.jwt)
    assert good not in (401, 403), good

    run = airflow.trigger(DAG, {"seconds": 8})
    wait_for("its task runs", lambda: airflow.tasks(DAG, run)[0]["state"] == "running", 60)
    begun = time.monotonic()
    done = installation.cli("cluster", "rotate-keys", NEIGHBOUR, "--wait", "--timeout", "5m", token=rest.token)
    assert done.code == 0, done.err
    print(f"rotated in {time.monotonic() - begun:.1f} s")

    new = Keys.of(installation, cluster)
    for name, secret in old.secrets().items():
        assert secret != new.secrets()[name], name
    assert "," not in new.fernet
    assert airflow.wait_for_run(DAG, run, 120) == "success"
    tasks = airflow.tasks(DAG, run)
    assert [task["try_number"] for task in tasks] == [1, 1], tasks
    assert airflow.result(DAG, run, "after") == [PASSWORD, PASSWORD]

    encrypted = sql(installation, new.dsn, row).stdout.strip()
    assert opens(new.fernet, encrypted) and not opens(old.fernet, encrypted)
    refused = sql(installation, old.dsn, row)
    assert refused.returncode != 0 and "password authentication failed" in refused.stderr, refused
    assert broker_takes(new.scheduler, new.broker) and not broker_takes(new.scheduler, old.broker)
    assert relay_takes(new, new.scheduler, tmp_path) and not relay_takes(old, new.scheduler, tmp_path)
    assert execution_answers(new, cluster, new.jwt) == good
    assert execution_answers(new, cluster, old.jwt) in (401, 403)
    nodes = installation.data_dir / "nodes"
    wait_for("no node has an old key", lambda: not lies_below(nodes, old.secrets()), 60)
    installation.remove_dag(rest, NEIGHBOUR, f"{DAG}.py")
