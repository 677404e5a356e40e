"""An Updraft on the test data centre: its servers, control and edge at the bridge's address, its nodes on hosts."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from .airflow import Airflow
from .balancer import Balancer
from .data_centre import ACCOUNT, GATE, REGION, DataCentre
from .ground import Program, Servers
from .rest import Rest
from .storage import Storage
from .user_data import REPOSITORY, agent_archive
from .waiting import wait_for

if TYPE_CHECKING:
    from types import TracebackType

IMAGE = REPOSITORY / ".tools" / "image"
RUNTIME = "airflow-3.3.2"
# Only for the migration of the template: nodes have the image's, which is at home there alone.
AIRFLOW = f"""#!/bin/sh
PYTHONPATH={REPOSITORY}/services/airflow exec {REPOSITORY}/.tools/airflow/bin/airflow "$@"
"""
ARTIFACTS = "updraft-artifacts"
# Whom tenants' roles trust.
IDENTITY = f"arn:aws:iam::{ACCOUNT}:root"
AIRFLOW_HOSTS = ".airflow.test"
# The balancers' ports; the edges have those after them.
PEOPLE, TUNNELS = 7720, 7443
EMAIL, PASSWORD = "owner@example.com", "a-long-enough-password"


class OnHosts:
    centre: DataCentre
    control: Program
    # Two, and a balancer before each of their listeners, as in a cloud.
    edges: list[Program]
    rest: Rest

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> OnHosts:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def console(self) -> str:
        return f"http://{GATE}:7700"

    def airflow(self, cluster: int, by: Rest | None = None) -> Airflow:
        """As whoever is signed in there, else the first owner."""
        url = f"http://c{cluster}{AIRFLOW_HOSTS}:{PEOPLE}/airflow-webserver-{cluster}/"
        return Airflow.open(self.console, url, (by or self.rest).token or "")

    def add_dag(self, cluster: str, name: str, source: str, by: Rest | None = None) -> None:
        endpoint = self.servers.s3_url.removeprefix("http://")
        storage = Storage(endpoint, self.servers.s3_keys["access_key"], self.servers.s3_keys["secret_key"])
        storage.put_dag((by or self.rest).cluster(cluster)["dag_location"], name, source)

    def _start(self) -> None:
        archives = self._image()
        self.place = Path(tempfile.mkdtemp(prefix="updraft-on-hosts-", dir="/var/tmp"))
        self._stack.callback(shutil.rmtree, self.place)
        self.place.chmod(0o755)
        self.centre = self._stack.enter_context(DataCentre(IMAGE / "root", self.place / "centre.log"))
        self.servers = Servers(self.place, GATE, "10.77.0.0/16")
        self._stack.callback(self.servers.stop)
        self.servers.start()
        self._artifacts()
        resolve_airflow_here(self._stack)
        own = self.centre.keys
        keys = {"AWS_ACCESS_KEY_ID": own["access_key"], "AWS_SECRET_ACCESS_KEY": own["secret_key"]}
        self.control = Program("control", self.place, self._control(archives), keys)
        self.edges = [Program(f"edge-{number}", self.place, self._edge(number), {}) for number in (1, 2)]
        self._prepare()
        self._stack.enter_context(self.control)
        for edge in self.edges:
            self._stack.enter_context(edge)
        for port in (PEOPLE, TUNNELS):
            self._stack.enter_context(Balancer((GATE, port), [(GATE, port + number) for number in (1, 2)]))
        self.rest = wait_for("control lets its owner in", lambda: Rest.sign_in(self.console, EMAIL, PASSWORD), 60)

    def _image(self) -> list[dict[str, str]]:
        """Made unless it is there; its archives are in no bucket, so a node that fetched one would not boot."""
        IMAGE.mkdir(parents=True, exist_ok=True)
        agent = IMAGE / "agent.tar.gz"
        agent.write_bytes(agent_archive())
        build = [REPOSITORY / "infra/image/build", IMAGE / "root", IMAGE / "archives", agent]
        subprocess.run(build, check=True, timeout=900)
        lines = [line.split() for line in (IMAGE / "archives" / "list").read_text().splitlines()]
        return [{"sha256": digest, "directory": at, "key": f"archives/{file}"} for digest, at, file in lines]

    def name_agent(self, archive: bytes) -> str:
        """Another one for nodes, as operators do it: published and named in control's settings. Says its digest."""
        digest = hashlib.sha256(archive).hexdigest()
        self._store().put_object(Bucket=ARTIFACTS, Key=f"archives/{digest}", Body=archive)
        settings = json.loads(self.control.config.read_text())
        provider = settings["nodes"]["ec2"]["provider"]
        others = [one for one in provider["archives"] if one["directory"] != "agent"]
        agent = {"sha256": digest, "directory": "agent", "key": f"archives/{digest}"}
        provider["archives"] = [agent, *others]
        self.control.stop()
        self.control.config.write_text(json.dumps(settings))
        self.control.start()
        return digest

    def _artifacts(self) -> None:
        self._store().create_bucket(Bucket=ARTIFACTS)

    def _store(self) -> Any:
        keys = self.servers.s3_keys
        named = {"aws_access_key_id": keys["access_key"], "aws_secret_access_key": keys["secret_key"]}
        return boto3.client("s3", endpoint_url=self.servers.s3_url, region_name="us-east-1", **named)

    def _secret(self, name: str, content: bytes) -> str:
        path = self.place / name
        path.touch(0o600)
        path.write_bytes(content)
        return str(path)

    def _control(self, archives: list[dict[str, str]]) -> dict[str, Any]:
        keys_file = self._secret("s3-keys.json", json.dumps(self.servers.s3_keys).encode())
        bucket = {"region": "us-east-1", "endpoint": self.servers.s3_url, "keys_file": keys_file}
        return {
            "data_dir": str(self.place / "control"),
            "port_base": 7700,
            "listen": {"public": f"{GATE}:7700", "internal": f"{GATE}:7702"},
            "console_url": self.console,
            "airflow_url": f"http://c{{cluster}}{AIRFLOW_HOSTS}:{PEOPLE}/airflow-webserver-{{cluster}}/",
            "database_url": self.servers.url("updraft"),
            "metadata_url": self.servers.url("postgres"),
            # The build of Postgres that comes along speaks no TLS.
            "metadata_plain": True,
            "master_key_file": self._secret("master-key", secrets.token_bytes(32)),
            "edge_token_file": self._secret("edge-token", secrets.token_hex(32).encode()),
            "identity_refresh_seconds": 900,
            "scale_in_after_seconds": 20,
            "tunnel_address": f"{GATE}:{TUNNELS}",
            "aws": {"identity": IDENTITY, "region": REGION, "endpoint": f"{self.centre.url}/"},
            "nodes": {
                "ec2": {
                    "control_url": f"http://{GATE}:7702",
                    "plain_http": True,
                    "runtimes": {RUNTIME: {"template_database": f"template-{RUNTIME}"}},
                    "storage": {
                        **bucket,
                        "bucket_prefix": "updraft-cluster-",
                        "node_keys": "shared",
                        # Two tenants, on a store whose roles are not played here.
                        "tenants_trust_each_other": True,
                    },
                    "provider": {
                        **self._provider(),
                        "archives": archives,
                        "artifacts": {**bucket, "bucket": ARTIFACTS},
                    },
                }
            },
        }

    def _provider(self) -> dict[str, Any]:
        world = self.centre.world
        return {
            "installation": "test",
            "region": REGION,
            "endpoint": f"{self.centre.url}/",
            "subnets": world["subnets"],
            "image": world["image"],
            "instance_profile": world["instance_profile"],
            "root_volume": {"gib": 20, "device": world["root_device"]},
            "scheduler": {"instance_type": "m6i.large"},
            "web": {"instance_type": "m6i.large"},
            "worker": {"instance_type": "m6i.xlarge"},
        }

    def _edge(self, number: int) -> dict[str, Any]:
        return {
            "state_dir": str(self.place / f"edge-{number}-state"),
            "asset_dir": str(self.place / "assets"),
            "control_url": f"http://{GATE}:7702",
            "plain_http": True,
            "console_url": self.console,
            "edge_token_file": str(self.place / "edge-token"),
            "port": PEOPLE + number,
            "listen": GATE,
            "tunnel_listen": f"{GATE}:{TUNNELS + number}",
        }

    def _prepare(self) -> None:
        """What an operator does once."""
        for part in ("control", "edge-1-state", "edge-2-state", "assets"):
            (self.place / part).mkdir()
        password = self._secret("password", PASSWORD.encode())
        config: list[str | Path] = ["--config", self.control.config]
        self._updraft("operator", "init", *config, "--email", EMAIL, "--password-file", password)
        airflow = self.place / "environment" / "bin" / "airflow"
        airflow.parent.mkdir(parents=True)
        airflow.write_text(AIRFLOW)
        airflow.chmod(0o755)
        self._updraft("runtime", "prepare", *config, "--environment", self.place / "environment")

    def _updraft(self, *arguments: str | Path) -> None:
        done = subprocess.run([os.environ["UPDRAFT_BIN"], *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def resolve_airflow_here(stack: ExitStack) -> None:
    """Clusters' host names lead to the edge, without a name server."""
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **named: Any) -> Any:
        here = isinstance(host, str) and host.endswith(AIRFLOW_HOSTS)
        return real(GATE if here else host, *rest, **named)

    socket.getaddrinfo = resolve
    stack.callback(setattr, socket, "getaddrinfo", real)
