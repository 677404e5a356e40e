"""One real cluster for all tests: Postgres, broker, the pre-imported parent and services forked from it."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import harness
import pytest
import storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAG = """
from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False)
def demo():
    @task
    def hello():
        print("hello from VERSION")
        return "VERSION"

    hello()


demo()
"""


@dataclass
class Cluster:
    """A cluster whose services run on one loopback address."""

    directory: Path
    env_dir: Path
    runtime: harness.Runtime
    postgres: harness.Postgres
    edge: harness.Edge
    node: harness.Node
    parent: harness.Parent
    services: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.node.url("http://{address}:8080{prefix}")

    def call(self, path: str, role: str | None = "admin", method: str = "GET", body: object = None) -> tuple[int, str]:
        return harness.get(self.url + path, self.edge.token(role) if role else None, method, body)

    def call_as(self, path: str, accept: str) -> str:
        """The answer's text in another shape than JSON."""
        headers = {"Authorization": f"Bearer {self.edge.token('user')}", "Accept": accept}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=60) as response:
            return str(response.read().decode())

    def start(self, name: str) -> int:
        self.services[name] = self.parent.fork(self.node, name)
        return self.services[name]


@pytest.fixture(scope="session")
def environment() -> Path:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return harness.environment()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Postgres]:
    directory = tmp_path_factory.mktemp("postgres")
    for parent in (directory, *directory.parents):
        if os.geteuid() == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    server = harness.Postgres(directory / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bucket(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[storage.Storage]:
    server = storage.Storage(tmp_path_factory.mktemp("s3") / "server", environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def cluster(
    environment: Path,
    postgres: harness.Postgres,
    bucket: storage.Storage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    runtime = harness.Runtime()
    address = harness.free_address()
    postgres.sql("create database airflow")
    variables = harness.cluster_variables(directory, postgres.dsn("airflow"), address)
    variables |= {"s3_endpoint": bucket.endpoint, "log_bucket": storage.BUCKET, "log_prefix": storage.PREFIX.rstrip("/")}
    storage.write_keys(directory / "log-keys.json", storage.KEYS[1])
    edge = harness.Edge("cluster:77")
    edge.write_keys(directory / "jwks.json")
    harness.publish_dags(directory / "dags", "v1", {"demo.py": DAG.replace("VERSION", "v1")})
    overrides = {
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    }
    node = harness.Node(environment, runtime, address, directory / "node", variables, overrides)
    parent = harness.Parent(environment, runtime, directory / "parent", variables, overrides)
    cluster = Cluster(directory, environment, runtime, postgres, edge, node, parent)
    try:
        parent.start()
        migrate = [harness.program(environment, "airflow"), *runtime.toml["runtime"]["migrate"][1:]]
        subprocess.run(migrate, env=node.environ(runtime.service("scheduler")), check=True, capture_output=True)
        node.start("broker")
        harness.wait_for("the broker", lambda: harness.listens(address, 6379))
        harness.wait_for("the parent", parent.ready)
        for name in ("scheduler", "dag-processor", "triggerer", "api-server", "worker"):
            cluster.start(name)
        harness.wait_for("the api-server", lambda: cluster.call("/api/v2/version", None)[0] == 200)
        harness.wait_for("the DAG to be parsed", lambda: cluster.call("/api/v2/dags/demo")[0] == 200)
        yield cluster
    finally:
        for pid in cluster.services.values():
            harness.kill_group(pid, signal.SIGTERM)
        for pid in cluster.services.values():
            harness.end_group(pid)
        node.stop()
        parent.stop()
