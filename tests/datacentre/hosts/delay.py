"""A long way between one host and the rest: each frame is held back for a while, both ways, and none is lost.

The kernel has no netem here. So the host's link is taken off the bridge, and what comes out of it is carried over to a
pair of links in its place; what cards leave to be done later (checksums, large frames cut up) is told with each frame.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress

from datacentre.hosts import network

# Of Linux; Python has no names for them.
_SOL_PACKET, _VNET_HDR, _IGNORE_OUTGOING, _ALL, _RCVBUFFORCE = 263, 15, 23, 3, 33
_LARGEST = 10 + 14 + 65536


class Delay:
    def __init__(self, name: str, seconds: float) -> None:
        """Of the host of that name, for each way."""
        self._name, self._seconds = name, seconds
        near = network.make_detour(name)
        self._ends = [_listen(near.host), _listen(near.bridge)]
        self._wake, self._end = os.pipe()
        self._carrier = threading.Thread(target=self._carry, name=f"delay {name}", daemon=True)
        self._carrier.start()

    def end(self) -> None:
        os.close(self._end)
        self._carrier.join()
        os.close(self._wake)
        for end in self._ends:
            end.close()
        network.remove_detour(self._name)

    def _carry(self) -> None:
        """What is on its way when this ends is lost."""
        held: deque[tuple[float, socket.socket, bytes]] = deque()
        across = dict(zip(self._ends, reversed(self._ends), strict=True))
        while True:
            wait = max(0.0, held[0][0] - time.monotonic()) if held else None
            ready, _, _ = select.select([self._wake, *(end.fileno() for end in self._ends)], [], [], wait)
            if self._wake in ready:
                return
            for end in (end for end in self._ends if end.fileno() in ready):
                held.append((time.monotonic() + self._seconds, across[end], end.recv(_LARGEST)))
            while held and held[0][0] <= time.monotonic():
                _, to, frame = held.popleft()
                with suppress(OSError):
                    to.send(frame)


def _listen(link: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
    end.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 8 << 20)
    end.bind((link, _ALL))
    return end
