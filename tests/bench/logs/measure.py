"""One writer, several ways into the same SeaweedFS: the agent's shipper, fluent-bit, `aws s3 sync` again and again.

What is measured: CPU and memory of the way and its children; and how old the oldest byte is that is not there yet,
asked twice a second.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import xml.etree.ElementTree as ET
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKET = "logs"
KEYS = ("access", "secret")
NAMES = ("scheduler", "worker", "triggerer", "api-server")


@dataclass
class Store:
    """SeaweedFS, open to everybody on the loopback."""

    directory: Path
    endpoint: str = ""

    def start(self) -> subprocess.Popen[bytes]:
        port, *others = (free_port() for _ in range(8))
        self.endpoint = f"http://127.0.0.1:{port}"
        servers = ("master.port", "volume.port", "filer.port")
        flags = [*servers, *(f"{server}.grpc" for server in servers), "s3.port.grpc"]
        command = [".tools/parts/bin/weed", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=200"]
        command += [f"-dir={self.directory}", f"-s3.port={port}"]
        command += [f"-{flag}={other}" for flag, other in zip(flags, others, strict=True)]
        with (self.directory / "weed.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self.request("PUT", BUCKET) is not None)
        return process

    def request(self, method: str, path: str) -> bytes | None:
        asked = urllib.request.Request(f"{self.endpoint}/{path}", method=method)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            return None

    def objects(self) -> dict[str, int]:
        """Keys and sizes."""
        text = self.request("GET", f"{BUCKET}?list-type=2&max-keys=10000") or b"<r/>"
        space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
        found = ET.fromstring(text).iter(f"{space}Contents")
        return {str(one.findtext(f"{space}Key")): int(one.findtext(f"{space}Size") or 0) for one in found}

    def empty(self) -> None:
        for key in self.objects():
            self.request("DELETE", f"{BUCKET}/{key}")


@dataclass(eq=False)
class Writer(threading.Thread):
    """Writes lines like services do, and remembers when it had written how much of which."""

    directory: Path
    seconds: float
    rate: float
    marks: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: {name: [] for name in NAMES})

    def __post_init__(self) -> None:
        super().__init__()
        dice = random.Random(7)
        words = [f"{dice.getrandbits(24):x}" for _ in range(4000)]
        said = (" ".join(dice.choices(words, k=9)) for _ in range(9000))
        self.lines = [f"2026-11-22T03:45:12Z [info] task {dice.choice(words)} said {text}\n" for text in said]

    def run(self) -> None:
        begun, turn = time.monotonic(), 0
        files = {name: (self.directory / f"{name}.log").open("ab", buffering=0) for name in NAMES}
        length = dict.fromkeys(NAMES, 0)
        while time.monotonic() - begun < self.seconds:
            turn += 1
            for name, file in files.items():
                share, piece = self.rate / 20 / len(NAMES), b""
                while len(piece) < share:
                    turn_at = (turn * 131 + len(piece)) % len(self.lines)
                    piece += "".join(self.lines[turn_at : turn_at + 20]).encode()
                file.write(piece)
                length[name] += len(piece)
                self.marks[name].append((length[name], time.monotonic()))
            time.sleep(max(0.0, begun + turn * 0.05 - time.monotonic()))

    def oldest_missing(self, name: str, there: int, now: float) -> float:
        for length, at in self.marks[name]:
            if length > there:
                return now - at
        return 0.0


class Shipper:
    """Ours: `binary` on the node's directory."""

    name = "updraft"

    def __init__(self, binary: str) -> None:
        self.binary = binary
        self.known: dict[str, tuple[int, int]] = {}

    def start(self, node: Path, store: Store) -> subprocess.Popen[bytes]:
        place = {"endpoint": store.endpoint, "region": "us-east-1", "bucket": BUCKET, "prefix": "logs/"}
        keys = dict(zip(("access_key", "secret_key"), KEYS, strict=True))
        delivery = place | keys | {"node_name": "worker-0-0123456789ab", "disk_bytes": 1 << 40}
        process = subprocess.Popen([self.binary, str(node)], stdin=subprocess.PIPE)
        assert process.stdin
        process.stdin.write(json.dumps(delivery).encode())
        process.stdin.close()
        return process

    def there(self, store: Store, name: str, objects: dict[str, int]) -> int:
        last = max((key for key in objects if key.startswith(f"logs/services/{name}/")), default=None)
        if last is None:
            return 0
        size, length = self.known.get(last, (0, 0))
        if size != objects[last]:
            body = store.request("GET", f"{BUCKET}/{last}") or b""
            size, length = len(body), unzipped(body)
            self.known[last] = (size, length)
        return int(last.rsplit("/", 1)[1].split(".")[0]) + length


class Cron:
    """`aws s3 sync` of the directory, again and again: what a crontab does."""

    def __init__(self, aws: str, pause: float) -> None:
        self.name, self.aws, self.pause = f"aws s3 sync each {pause:g} s", aws, pause

    def start(self, node: Path, store: Store) -> subprocess.Popen[bytes]:
        sync = (
            f'"{self.aws}" --endpoint-url {store.endpoint} s3 sync --only-show-errors "{node}/logs" s3://{BUCKET}/plain'
        )
        script = f"while sleep {self.pause}; do {sync}; done"
        keys = {"AWS_ACCESS_KEY_ID": KEYS[0], "AWS_SECRET_ACCESS_KEY": KEYS[1], "AWS_DEFAULT_REGION": "us-east-1"}
        return subprocess.Popen(["/bin/sh", "-c", script], env=os.environ | keys, start_new_session=True)

    def there(self, store: Store, name: str, objects: dict[str, int]) -> int:
        return objects.get(f"plain/{name}.log", 0)


class FluentBit:
    """in_tail, with its offsets on disk, into out_s3: an object when there is `size` of a file, or after `pause`."""

    def __init__(self, program: str, size: str, pause: int) -> None:
        self.name, self.program = f"fluent-bit, {size} or {pause} s", program
        self.size, self.pause = size, pause
        self.known: dict[str, int] = {}

    def start(self, node: Path, store: Store) -> subprocess.Popen[bytes]:
        parts = ["[SERVICE]\n    Log_Level error\n"]
        for name in NAMES:
            tail = {"Path": node / f"logs/{name}.log", "Tag": name, "Read_from_Head": "On", "Refresh_Interval": 1}
            parts.append(section("INPUT", {"Name": "tail", "DB": node / f"{name}.db"} | tail))
        place = {"bucket": BUCKET, "region": "us-east-1", "endpoint": store.endpoint, "tls": "Off"}
        how = {"log_key": "log", "compression": "gzip", "use_put_object": "On", "static_file_path": "On"}
        when = {"total_file_size": self.size, "upload_timeout": f"{self.pause}s", "store_dir": node / "s3"}
        key = {"s3_key_format": "/fluent/$TAG/%Y%m%d%H%M%S-$UUID.gz"}
        parts.append(section("OUTPUT", {"Name": "s3", "Match": "*"} | place | how | when | key))
        (node / "fluent-bit.conf").write_text("\n".join(parts))
        keys = {"AWS_ACCESS_KEY_ID": KEYS[0], "AWS_SECRET_ACCESS_KEY": KEYS[1]}
        command = [self.program, "-q", "-c", str(node / "fluent-bit.conf")]
        return subprocess.Popen(command, env=os.environ | keys)

    def there(self, store: Store, name: str, objects: dict[str, int]) -> int:
        """Objects hold lines alone, and are never written again."""
        mine = [key for key in objects if key.startswith(f"fluent/{name}/")]
        for key in mine:
            if key not in self.known:
                self.known[key] = unzipped(store.request("GET", f"{BUCKET}/{key}") or b"")
        return sum(self.known[key] for key in mine)


def section(kind: str, options: dict[str, object]) -> str:
    return "\n".join([f"[{kind}]", *(f"    {name} {value}" for name, value in options.items()), ""])


def unzipped(body: bytes) -> int:
    length = 0
    while body:
        member = zlib.decompressobj(31)
        length += len(member.decompress(body))
        body = member.unused_data
    return length


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.2)
    raise TimeoutError


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Of the process and its ended children, so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory(process: subprocess.Popen[bytes]) -> int:
    """Of the process and its children now, in kB."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    total = 0
    for pid in [str(process.pid), *children]:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total


def measure(way: Shipper | FluentBit | Cron, store: Store, scratch: Path, seconds: float, rate: float) -> None:
    node = Path(tempfile.mkdtemp(dir=scratch))
    (node / "logs").mkdir()
    process = way.start(node, store)
    time.sleep(2)
    idle = cpu(process)
    time.sleep(8)
    idle = (cpu(process) - idle) / 8
    before = cpu(process)
    writer = Writer(node / "logs", seconds, rate)
    writer.start()
    lags, most = [], 0
    while writer.is_alive():
        time.sleep(0.5)
        objects, now = store.objects(), time.monotonic()
        lags += [writer.oldest_missing(name, way.there(store, name, objects), now) for name in NAMES]
        most = max(most, memory(process))
    used = cpu(process) - before
    written = sum(marks[-1][0] for marks in writer.marks.values()) / 1e6
    os.killpg(process.pid, signal.SIGTERM) if isinstance(way, Cron) else process.terminate()
    process.wait(60)
    stored = sum(store.objects().values()) / 1e6
    store.empty()
    cut = statistics.quantiles(lags, n=20)
    core, held = used / written * 100, most / 1000
    each = f"{core:5.2f} % of a core and {held / rate * 1e6:4.1f} MB for each MB/s"
    cost = f"{each}, {held:.0f} MB in all, idle {idle * 100:.2f} %"
    lag = f"lag p50 {statistics.median(lags):5.1f} s, p95 {cut[18]:5.1f} s"
    print(f"{way.name:26} {written:.0f} MB written, {stored:.0f} MB stored: {cost}; {lag}", flush=True)


def main() -> None:
    binary = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 130.0
    rate = float(sys.argv[3]) * 1e6 if len(sys.argv) > 3 else 5e6
    aws = os.environ.get("AWS_CLI") or shutil.which("aws")
    fluent_bit = os.environ.get("FLUENT_BIT") or shutil.which("fluent-bit")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "store").mkdir()
        store = Store(scratch / "store")
        server = store.start()
        try:
            measure(Shipper(binary), store, scratch, seconds, rate)
            for size, pause in (("1M", 6), ("50M", 60)) if fluent_bit else ():
                measure(FluentBit(str(fluent_bit), size, pause), store, scratch, seconds, rate)
            for pause in (10, 60) if aws else ():
                measure(Cron(str(aws), pause), store, scratch, seconds, rate)
        finally:
            server.kill()
            server.wait()


main()
