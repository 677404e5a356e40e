"""A TCP balancer as a cloud has them: it passes bytes on, to each of its targets in turn that is there."""

from __future__ import annotations

import itertools
import socket
import threading
from contextlib import suppress


class Balancer:
    def __init__(self, listen: tuple[str, int], targets: list[tuple[str, int]]) -> None:
        self._turns = itertools.cycle(targets)
        self._targets = len(targets)
        self._listener = socket.create_server(listen, backlog=64)

    def __enter__(self) -> Balancer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=[near], daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        far = self._connected()
        if far is None:
            near.close()
            return
        back = threading.Thread(target=_pass_on, args=[far, near], daemon=True)
        back.start()
        _pass_on(near, far)
        back.join()
        near.close()
        far.close()

    def _connected(self) -> socket.socket | None:
        for target in itertools.islice(self._turns, self._targets):
            with suppress(OSError):
                return socket.create_connection(target, 5)
        return None


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    source.settimeout(None)
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    # Whoever ends ends both: nobody here leaves a connection half open.
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
