"""The data centre's network: one bridge, and for each host a namespace on it.

What has the bridge's own address (`GATE`) is Updraft's: hosts reach it and each other, and nothing else. On demand a
packet filter refuses, and counts, what out here would connect to a host.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BRIDGE = "updraft-dc"
GATE = "10.77.0.1"
NETWORK = "10.77.0.0/16"
METADATA = "169.254.169.254"
# All that is made begins with it, so that what a crash left is known.
PREFIX = "udc-"
NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def name_of(instance: str) -> str:
    """Fits the 15 letters that a link's name may have."""
    return PREFIX + instance[-11:]


def make() -> None:
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{GATE}/16", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    run("nft", _FILTER)
    attach("metadata", "02:00:a9:fe:a9:fe")
    _inside("metadata", "link", "set", "eth0", "up")
    _inside("metadata", "address", "add", f"{METADATA}/32", "dev", "eth0")
    _inside("metadata", "route", "add", NETWORK, "dev", "eth0")


def attach(name: str, mac: str) -> None:
    """Makes a namespace of this name with its link to the bridge. Who is in it sees to its address."""
    space = _space(name)
    run("ip", "netns", "add", space)
    run("ip", "link", "add", space, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", space)
    run("ip", "link", "set", space, "master", BRIDGE, "up")
    _inside(name, "link", "set", "lo", "up")


def detach(name: str) -> None:
    run("ip", "link", "delete", _space(name))
    run("ip", "netns", "delete", _space(name))


def part(name: str, parted: bool) -> None:
    """A parted host's packets go nowhere and none come; it is not told."""
    run("bridge", "link", "set", "dev", _space(name), "state", "0" if parted else "3")


@dataclass(frozen=True)
class Detour:
    """Two links, between which somebody has to carry frames: the host's, and one whose other end is on the bridge."""

    host: str
    bridge: str


def make_detour(name: str) -> Detour:
    host, far = _space(name), _far_end(name)
    run("ip", "link", "add", f"{far}a", "type", "veth", "peer", "name", f"{far}b")
    run("ip", "link", "set", host, "nomaster")
    run("ip", "link", "set", f"{far}b", "master", BRIDGE, "up")
    run("ip", "link", "set", f"{far}a", "up")
    return Detour(host, f"{far}a")


def remove_detour(name: str) -> None:
    run("ip", "link", "delete", f"{_far_end(name)}a")
    run("ip", "link", "set", _space(name), "master", BRIDGE)


def space_file(name: str) -> Path:
    return NAMESPACES / _space(name)


def refuse_connections() -> None:
    """From now on nothing out here can open a connection to a host."""
    run("nft", "add rule inet updraft-dc out ip daddr @hosts tcp flags & (syn | ack) == syn counter drop")


def connections_tried() -> int:
    """By Updraft, to hosts, since they are refused."""
    listed = json.loads(run("nft", "--json", "list", "chain", "inet", "updraft-dc", "out"))
    expressions = [part for item in listed["nftables"] for part in item.get("rule", {}).get("expr", [])]
    [counted] = [part["counter"]["packets"] for part in expressions if "counter" in part]
    return int(counted)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread opens its sockets in the namespace of that name."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(space_file(name), os.O_RDONLY)
    try:
        if libc.setns(other, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(own, _CLONE_NEWNET)
    finally:
        os.close(own)
        os.close(other)


def metadata_socket() -> socket.socket:
    with inside("metadata"):
        return socket.create_server((METADATA, 80), backlog=64)


def remove() -> None:
    """Everything, whoever left it."""
    for found in re.findall(rf"\b({PREFIX}[^\s@:]+)", run("ip", "-oneline", "link", "show", "type", "veth")):
        subprocess.run(["ip", "link", "delete", found], capture_output=True)
    for space in NAMESPACES.glob(f"{PREFIX}*"):
        subprocess.run(["ip", "netns", "delete", space.name], capture_output=True)
    for command in (["ip", "link", "delete", BRIDGE], ["nft", "delete table inet updraft-dc"]):
        subprocess.run(command, capture_output=True)


_FILTER = f"""
add table inet updraft-dc
add set inet updraft-dc hosts {{ type ipv4_addr; flags interval; elements = {{ 10.77.0.2-10.77.255.254 }}; }}
add chain inet updraft-dc out {{ type filter hook output priority 0; }}
add chain inet updraft-dc through {{ type filter hook forward priority 0; }}
add rule inet updraft-dc through iifname {BRIDGE} oifname != {BRIDGE} reject
"""


def _space(name: str) -> str:
    return PREFIX + name if name == "metadata" else name_of(name)


def _far_end(name: str) -> str:
    return PREFIX + name[-10:]


def _inside(name: str, *command: str) -> None:
    run("ip", "-netns", _space(name), *command)
