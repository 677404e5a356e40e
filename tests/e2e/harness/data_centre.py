"""The test data centre with its hosts, as a process beside the test; and AWS's client on it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from .user_data import REPOSITORY
from .waiting import wait_for

if TYPE_CHECKING:
    from types import TracebackType

GATE = "10.77.0.1"
PORT = 5001
REGION = "eu-central-1"
ACCOUNT = "123456789012"


class DataCentre:
    """Instances are hosts made of the root file system `image`."""

    def __init__(self, image: Path, log: Path) -> None:
        self._image, self._log = image, log

    def __enter__(self) -> DataCentre:
        command = [sys.executable, "-m", "datacentre", "--host", GATE, "--port", str(PORT), "--hosts", str(self._image)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=REPOSITORY / "tests", stdout=log, stderr=log)
        wait_for("the data centre answers", self._answers, 60)
        self.keys = self.ask("credentials")
        self.world = self.ask("world", account=ACCOUNT, region=REGION)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._process.poll() is None:
            for instance in self.ask("hosts"):
                print(f"=== console of {instance}\n{self.console(instance)[-6000:]}")
        self._process.terminate()
        self._process.wait(60)

    @property
    def url(self) -> str:
        return f"http://{GATE}:{PORT}"

    def crash(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        self.ask("calls")
        return True

    def ask(self, what: str, /, **asked: object) -> Any:
        """What AWS has no words for."""
        request = urllib.request.Request(f"{self.url}/datacentre/{what}", json.dumps(asked).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def fail_checks(self, instance: str, minutes: int) -> None:
        """EC2's checks of its hardware fail, and have for so long; what runs on it goes on."""
        since = datetime.now(timezone.utc) - timedelta(minutes=minutes)
        self.ask("impair", instance=instance, check="system", since=since.isoformat())

    def befall(self, instance: str, what: str, **asked: object) -> None:
        self.ask("host", instance=instance, what=what, **asked)

    def console(self, instance: str) -> str:
        text: str = self.ask("console", instance=instance)
        return text

    def address(self, instance: str) -> str:
        address: str = self.ask("hosts")[instance]["address"]
        return address

    def inside(self, instance: str, *command: str) -> str:
        """Run on the host as root, as an operator would by a session; what it printed, whatever its exit code."""
        init = self.ask("hosts")[instance]["init"]
        enter = ["nsenter", "--target", str(init), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]
        done = subprocess.run([*enter, *command], capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def ec2(self, role: str | None = None, external_id: str = "") -> Any:
        """In Updraft's own account, or in that of a role."""
        keys = {"aws_access_key_id": self.keys["access_key"], "aws_secret_access_key": self.keys["secret_key"]}
        if role:
            sts = boto3.client("sts", region_name=REGION, endpoint_url=self.url, **keys)
            assumed = sts.assume_role(RoleArn=role, ExternalId=external_id, RoleSessionName="test")["Credentials"]
            keys = {"aws_access_key_id": assumed["AccessKeyId"], "aws_secret_access_key": assumed["SecretAccessKey"]}
            keys["aws_session_token"] = assumed["SessionToken"]
        return boto3.client("ec2", region_name=REGION, endpoint_url=self.url, **keys)

    def launch(self, user_data: str | bytes) -> str:
        """One instance as Updraft asks for them."""
        launched = self.ec2().run_instances(
            ImageId=self.world["image"],
            InstanceType="m6i.large",
            MinCount=1,
            MaxCount=1,
            UserData=user_data,
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            IamInstanceProfile={"Name": self.world["instance_profile"]},
            NetworkInterfaces=[
                {"DeviceIndex": 0, "SubnetId": self.world["subnets"][0], "Groups": self.world["security_groups"]}
            ],
        )
        name: str = launched["Instances"][0]["InstanceId"]
        return name

    def state(self, instance: str) -> str:
        state: str = self.ask("instances")[instance]
        return state

    def reach(self, instance: str, state: str, seconds: float = 60) -> float:
        """Waits, and says how long it took."""
        began = time.monotonic()
        wait_for(f"{instance} is {state}", lambda: self.state(instance) == state, seconds, every=0.05)
        return time.monotonic() - began
