"""A package index of a test's own: wheels and source archives made on the spot, served as PEP 503 has it."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


class Index:
    """Serves `<directory>/simple/<name>/` on the loopback."""

    def __init__(
        self,
        directory: Path,
        address: str = "127.0.0.1",
        port: int = 0,
        *,
        login: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """With a `login`, `user:password`, nobody reads without it."""
        self.directory = directory
        self.scheme = "https" if tls else "http"
        (directory / "simple").mkdir(parents=True, exist_ok=True)
        handler = partial(_Quiet, directory=str(directory), login=login)
        self._server = ThreadingHTTPServer((address, port), handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/simple"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wheel(
        self, name: str, version: str, files: dict[str, str], *, requires: tuple[str, ...] = (), entry_points: str = ""
    ) -> None:
        info = f"{name}-{version}.dist-info"
        content = dict(files)
        content[f"{info}/METADATA"] = _metadata(name, version, requires)
        content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        if entry_points:
            content[f"{info}/entry_points.txt"] = entry_points
        record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in content.items())
        content[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            for path, text in content.items():
                made.writestr(path, text)
        self._publish(name, f"{name}-{version}-py3-none-any.whl", archive.getvalue())

    def source(self, name: str, version: str, setup: str) -> None:
        """A package without a wheel, with this `setup.py` and a build system that needs nothing from any index."""
        backend = _BACKEND.format(name=name, version=version, setup=setup)
        files = {
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": backend,
            "PKG-INFO": _metadata(name, version, ()),
        }
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as made:
            for path, text in files.items():
                entry = tarfile.TarInfo(f"{name}-{version}/{path}")
                entry.size = len(text.encode())
                made.addfile(entry, io.BytesIO(text.encode()))
        self._publish(name, f"{name}-{version}.tar.gz", archive.getvalue())

    def _publish(self, name: str, file: str, content: bytes) -> None:
        directory = self.directory / "simple" / name.replace("_", "-")
        directory.mkdir(exist_ok=True)
        (directory / file).write_bytes(content)
        files = sorted(path.name for path in directory.iterdir() if path.name != "index.html")
        links = "".join(f'<a href="{each}">{each}</a><br>' for each in files)
        (directory / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, login: str | None, **options: Any) -> None:
        self.pass_ = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        if self._may_read():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._may_read():
            super().do_HEAD()

    def _may_read(self) -> bool:
        if self.pass_ in (None, self.headers.get("Authorization")):
            return True
        self.send_error(HTTPStatus.UNAUTHORIZED)
        return False

    def log_message(self, *_: object) -> None:
        pass


_BACKEND = '''
import zipfile


def build_wheel(directory, config_settings=None, metadata_directory=None):
    exec({setup!r}, {{}})
    name = "{name}-{version}-py3-none-any.whl"
    info = "{name}-{version}.dist-info"
    with zipfile.ZipFile(directory + "/" + name, "w") as made:
        made.writestr("{name}.py", "BUILT = True\\n")
        made.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        made.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        made.writestr(info + "/RECORD", "{name}.py,,\\n" + info + "/METADATA,,\\n" + info + "/WHEEL,,\\n" + info + "/RECORD,,\\n")
    return name
'''


def _metadata(name: str, version: str, requires: tuple[str, ...]) -> str:
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
