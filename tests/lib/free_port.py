"""Prints a port that nothing listens on, below those that the kernel gives to connections, so that it stays free."""

from __future__ import annotations

import random
import socket

# Rust's tests take theirs from below, an installation of the black box from above.
PORTS = range(17_000, 17_700)


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


print(next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port)))
