"""The parent's loop: fork for each request, reap.

A request carries a service's secrets, so the parent never reads one: it forks first, and the fork reads. It is one
thread and keeps nothing but where to write how its children ended. It ends on SIGTERM and leaves them running: they are
the agents', which hold on to them by pid and start time.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from updraft_airflow.prefork import warm, wire

_REQUEST_SECONDS = 10.0
# A request that begins so is answered by the parent itself.
_PING = b'{"ping"'


@dataclass(frozen=True)
class Forked:
    """A connection with an unread request, in the fork that is to become the service."""

    connection: socket.socket
    to_parent: int

    def read(self) -> wire.Fork:
        """The request. Raises `wire.BadRequest`."""
        request = wire.parse(_read_line(self.connection))
        if not Path(request.cwd).is_dir():
            raise wire.BadRequest(f"{request.cwd} is no directory")
        for path in (request.output, request.status):
            if not Path(path).parent.is_dir():
                raise wire.BadRequest(f"{Path(path).parent} is no directory")
        Path(request.status).unlink(missing_ok=True)
        os.write(self.to_parent, request.status.encode())
        return request

    def accept(self) -> None:
        self._answer({"pid": os.getpid(), "start_time": _start_time()})

    def refuse(self, problem: Exception) -> None:
        self._answer({"error": str(problem)})

    def _answer(self, reply: dict[str, object]) -> None:
        with contextlib.suppress(OSError), self.connection:
            self.connection.sendall(wire.line(reply))


class _Server:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._status_files: dict[int, Path] = {}
        self._stopping = False

    def run(self) -> Forked | None:
        """Returns None in the parent when it was told to stop, and in each fork what it is to become."""
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        listener = _listen(self._path)
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        while not self._stopping:
            for ready, _ in selector.select():
                if ready.fileobj is wake_read:
                    os.read(wake_read, 4096)
                    continue
                forked = self._accept(listener)
                if forked is not None:
                    return forked
            self._reap()
        self._path.unlink(missing_ok=True)
        return None

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _accept(self, listener: socket.socket) -> Forked | None:
        connection, _ = listener.accept()
        connection.settimeout(_REQUEST_SECONDS)
        reply: dict[str, object] = {"ready": True}
        try:
            _refuse_strangers(connection)
            if connection.recv(len(_PING), socket.MSG_PEEK) != _PING:
                return self._fork(connection)
        except (wire.BadRequest, warm.NotSingleThreaded, OSError) as problem:
            reply = {"error": str(problem)}
        with contextlib.suppress(OSError), connection:
            connection.sendall(wire.line(reply))
        return None

    def _fork(self, connection: socket.socket) -> Forked | None:
        warm.ensure_single_threaded()
        from_child, to_parent = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            return Forked(connection, to_parent)
        connection.close()
        os.close(to_parent)
        # The fork says where its end is to be written, once it has read its request.
        with os.fdopen(from_child, "rb") as answer:
            status = answer.read()
        if status:
            self._status_files[pid] = Path(os.fsdecode(status))
        return None

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            path = self._status_files.pop(pid, None)
            if path is not None:
                with contextlib.suppress(OSError):
                    _write_status(path, status)


def serve(path: Path) -> Forked | None:
    """Serves until SIGTERM. Returns once more for each fork: see `_Server.run`."""
    return _Server(path).run()


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(16)
    return listener


def _refuse_strangers(connection: socket.socket) -> None:
    """The socket's mode says it already; this holds when a directory was opened too far."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid = struct.unpack("3i", credentials)[1]
    if uid not in (0, os.geteuid()):
        raise wire.BadRequest(f"user {uid} may not start services here")


def _read_line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            break
        received += part
        if len(received) > wire.MAX_REQUEST_BYTES:
            raise wire.BadRequest("the request is too long")
    return received


def _start_time() -> int:
    """Clock ticks from boot to this process' start: with its pid, its name for good (proc(5), `stat`, field 22)."""
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


def _write_status(path: Path, status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    ended = {"signal": -code} if code < 0 else {"code": code}
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(ended))
    fresh.replace(path)
