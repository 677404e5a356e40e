"""The network's DHCP, as a VPC has it: a host that asks is told the address that it has. Others are told nothing.

cloud-init asks before it believes that it is on EC2 (RFC 2131, 2132).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading

from datacentre.hosts import network

_NETWORK = ipaddress.IPv4Network(network.NETWORK)
_REQUEST, _REPLY = 1, 2
_DISCOVER, _OFFER, _ASK, _GRANT = 1, 2, 3, 5
_MAGIC = b"\x63\x82\x53\x63"
_SECONDS = 3600
# Where a message's parts begin.
_HARDWARE, _COOKIE, _OPTIONS = 28, 236, 240


def serve() -> None:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, network.BRIDGE.encode())
    listening.bind(("", 67))
    threading.Thread(target=_serve, args=[listening], name="dhcp", daemon=True).start()


def _serve(listening: socket.socket) -> None:
    while True:
        asked = listening.recv(2048)
        if told := answer(asked):
            listening.sendto(told, ("255.255.255.255", 68))


def answer(asked: bytes) -> bytes | None:
    if len(asked) < _OPTIONS or asked[0] != _REQUEST or asked[_COOKIE:_OPTIONS] != _MAGIC:
        return None
    mac = asked[_HARDWARE : _HARDWARE + 6]
    kind = {_DISCOVER: _OFFER, _ASK: _GRANT}.get(_option(asked[_OPTIONS:], 53, b"\0")[0])
    # A host's hardware address ends in its own.
    if kind is None or mac[:2] != b"\x02\x00" or ipaddress.ip_address(mac[2:]) not in _NETWORK:
        return None
    gate = ipaddress.ip_address(network.GATE).packed
    head = struct.pack("!BBBB4sHH", _REPLY, 1, 6, 0, asked[4:8], 0, 0x8000)
    addresses = bytes(4) + mac[2:] + gate + bytes(4)
    # RFC 3442: the metadata service is on the link.
    way = bytes([32]) + ipaddress.ip_address(network.METADATA).packed + bytes(4)
    lease = {54: gate, 51: struct.pack("!I", _SECONDS), 1: _NETWORK.netmask.packed, 121: way}
    options = {53: bytes([kind]), **lease}
    told = b"".join(bytes([name, len(value)]) + value for name, value in options.items())
    return head + addresses + mac.ljust(16, b"\0") + bytes(192) + _MAGIC + told + b"\xff"


def _option(options: bytes, wanted: int, otherwise: bytes) -> bytes:
    at = 0
    while at + 1 < len(options) and options[at] != 255:
        if options[at] == 0:
            at += 1
            continue
        if options[at] == wanted:
            return options[at + 2 : at + 2 + options[at + 1]] or otherwise
        at += 2 + options[at + 1]
    return otherwise
