"""A real S3 server, and objects in it as agents ship them (`docs/logs.md`)."""

from __future__ import annotations

import gzip
import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import harness

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "logs"
PREFIX = "shipped/"
KEYS = ("access", "secret")


@dataclass
class Storage:
    """SeaweedFS on free ports of the loopback."""

    directory: Path
    env_dir: Path
    process: subprocess.Popen[bytes] | None = None
    endpoint: str = ""

    def start(self) -> None:
        master, volume, filer, s3 = (harness.free_port() for _ in range(4))
        self.directory.mkdir(parents=True)
        identity = {"name": "t", "credentials": [{"accessKey": KEYS[0], "secretKey": KEYS[1]}]}
        identities = {"identities": [identity | {"actions": ["Admin", "Read", "Write", "List"]}]}
        (self.directory / "identities.json").write_text(json.dumps(identities))
        command = [
            harness.program(self.env_dir, "weed"), "server", f"-dir={self.directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", f"-master.port.grpc={harness.free_port()}",
            f"-volume.port={volume}", f"-volume.port.grpc={harness.free_port()}",
            "-filer", f"-filer.port={filer}", f"-filer.port.grpc={harness.free_port()}", "-master.volumeSizeLimitMB=64",
            "-s3", f"-s3.port={s3}", f"-s3.port.grpc={harness.free_port()}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.config={self.directory / 'identities.json'}",
        ]  # fmt: skip
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)
        self.endpoint = f"http://127.0.0.1:{s3}"
        harness.wait_for("S3", self._answers, 60)

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError((self.directory / "log").read_text()[-2000:])
        try:
            self.client().create_bucket(Bucket=BUCKET)
        except Exception:  # noqa: BLE001 - it is not there yet, in one of many ways
            return False
        return True

    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id=KEYS[0], aws_secret_access_key=KEYS[1],
        )  # fmt: skip

    def settings(self, keys: Path) -> str:
        """What `UPDRAFT_LOGS` holds; the keys are written where it says."""
        write_keys(keys, KEYS[1])
        known = {"endpoint": self.endpoint, "region": "us-east-1", "bucket": BUCKET, "prefix": PREFIX}
        return json.dumps(known | {"keys_file": str(keys)})

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)


def write_keys(file: Path, secret: str) -> None:
    """As the agent does: `work/log-keys.json`."""
    keys = {"aws_access_key_id": KEYS[0], "aws_secret_access_key": secret, "aws_session_token": None}
    file.write_text(json.dumps(keys))


@dataclass
class Shipped:
    """One file of one node, shipped."""

    storage: Storage
    source: str
    file: str = "20261122T034512123Z-0000002a.worker-1-d41f6c1a09b2"
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.storage.client()

    def key(self, offset: int) -> str:
        return f"{PREFIX}{self.source}/{self.file}/{offset:020}.log.gz"

    def put(self, offset: int, *pieces: bytes) -> int:
        """Writes the object at this offset, a gzip member for each piece; the place after it."""
        self.client.put_object(Bucket=BUCKET, Key=self.key(offset), Body=b"".join(map(gzip.compress, pieces)))
        return offset + sum(map(len, pieces))

    def remove(self, offset: int) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=self.key(offset))
