"""Servers that count what they are asked: SeaweedFS, and git over HTTP."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTED = re.compile(r"^SeaweedFS_s3_request_total\{.*\} (\S+)$", re.M)


class Weed:
    """Open to everybody on the loopback."""

    def __init__(self, directory: Path, program: Path) -> None:
        self.directory, self.program = directory / "weed", program
        self.directory.mkdir()
        self.port, self.metrics, *self.others = free_ports(10)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        servers = ("master.port", "volume.port", "filer.port")
        flags = [*servers, *(f"{server}.grpc" for server in servers), "s3.port.grpc"]
        command = [str(self.program), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=200", "-master.volumeSizeLimitMB=64"]
        command += [f"-dir={self.directory}", f"-s3.port={self.port}", f"-metricsPort={self.metrics}"]
        command += [f"-{flag}={other}" for flag, other in zip(flags, self.others, strict=False)]
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(300):
            try:
                self.ask("PUT", "")
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("SeaweedFS")

    def ask(self, method: str, key: str, body: bytes = b"") -> bytes:
        asked = urllib.request.Request(f"{self.url}/bench/{key}", body, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return bytes(answer.read())

    def requests(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as answer:
            return round(sum(map(float, COUNTED.findall(answer.read().decode()))))

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


class GitOverHttp:
    """`git http-backend` behind Python's server, and a repository with a work tree that pushes to it."""

    def __init__(self, directory: Path) -> None:
        for words in ("init -q --bare -b main dags.git", "init -q -b main work"):
            subprocess.run(["git", *words.split()], cwd=directory, check=True)
        subprocess.run(["git", "remote", "add", "origin", "../dags.git"], cwd=directory / "work", check=True)
        counting: list[None] = []

        class Handler(Backend):
            root = directory
            asked = counting

        self.server, self.asked = ThreadingHTTPServer(("127.0.0.1", 0), Handler), counting
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dags.git"

    def requests(self) -> int:
        return len(self.asked)

    def end(self) -> None:
        self.server.shutdown()


class Backend(BaseHTTPRequestHandler):
    """CGI (RFC 3875), as far as git needs it."""

    protocol_version = "HTTP/1.1"
    root: ClassVar[Path]
    asked: ClassVar[list[None]]

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            self.answer(b"".join(self.chunks()))
        else:
            self.answer(self.rfile.read(int(self.headers.get("content-length", 0))))

    def chunks(self) -> Iterator[bytes]:
        while length := int(self.rfile.readline(), 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self, body: bytes) -> None:
        self.asked.append(None)
        path, _, query = self.path.partition("?")
        said = {"CONTENT_TYPE": "content-type", "HTTP_CONTENT_ENCODING": "content-encoding"}
        said["GIT_PROTOCOL"] = "git-protocol"
        environment = {**os.environ, **{name: self.headers.get(header, "") for name, header in said.items()}}
        environment |= {"GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.command}
        environment |= {"PATH_INFO": path, "QUERY_STRING": query}
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200")[:3]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def cpu_of(pid: int) -> float:
    """Of a process and its ended children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
