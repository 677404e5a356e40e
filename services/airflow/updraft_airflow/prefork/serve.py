"""The parent's loop: answer the agent, fork, reap.

It is one thread and keeps nothing but the children it has to reap. It ends on SIGTERM and leaves its children running:
they are the agents', which hold on to them by pid and start time.
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
from pathlib import Path

from updraft_airflow.prefork import warm, wire

_REQUEST_SECONDS = 10.0


class _Server:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._status_files: dict[int, str] = {}
        self._stopping = False

    def run(self) -> wire.Fork | None:
        """Returns None in the parent when it was told to stop, and the request in each fork."""
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with _listen(self._path) as listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            while not self._stopping:
                for ready, _ in selector.select():
                    if ready.fileobj is listener:
                        forked = self._accept(listener)
                        if forked is not None:
                            return forked
                    else:
                        os.read(wake_read, 4096)
                self._reap()
        self._path.unlink(missing_ok=True)
        return None

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _accept(self, listener: socket.socket) -> wire.Fork | None:
        """The request, in the fork it made; None in the parent."""
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(_REQUEST_SECONDS)
            try:
                _refuse_strangers(connection)
                request = wire.parse(_read_line(connection))
                if isinstance(request, wire.Ping):
                    reply: dict[str, object] = {"ready": True}
                else:
                    pid = self._fork(request)
                    if pid == 0:
                        return request
                    reply = {"pid": pid, "start_time": _start_time(pid)}
            except (wire.BadRequest, warm.NotSingleThreaded, OSError) as problem:
                reply = {"error": str(problem)}
            with contextlib.suppress(OSError):
                connection.sendall(wire.line(reply))
        return None

    def _fork(self, request: wire.Fork) -> int:
        warm.ensure_single_threaded()
        # Checked before, so that the agent hears of it: a fork has nobody to tell.
        if not Path(request.cwd).is_dir():
            raise wire.BadRequest(f"{request.cwd} is no directory")
        for path in (request.output, request.status):
            if not Path(path).parent.is_dir():
                raise wire.BadRequest(f"{Path(path).parent} is no directory")
        Path(request.status).unlink(missing_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            self._status_files[pid] = request.status
        return pid

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
                    _write_status(Path(path), status)


def serve(path: Path) -> wire.Fork | None:
    """Serves until SIGTERM. Returns twice for each fork: see `_Server.run`."""
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


def _start_time(pid: int) -> int:
    """Clock ticks from boot to the process' start: with its pid, its name for good (proc(5), `stat`, field 22)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _write_status(path: Path, status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    ended = {"signal": -code} if code < 0 else {"code": code}
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(ended))
    fresh.replace(path)
