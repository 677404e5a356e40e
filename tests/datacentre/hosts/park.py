"""All hosts, by their instance's id; there is one park on a machine, and it leaves nothing behind."""

from __future__ import annotations

import fcntl
import math
import shutil
import subprocess
import threading
from pathlib import Path
from typing import IO, Any

from moto.ec2.models import ec2_backends

from datacentre.hosts import dhcp, first_boot, network
from datacentre.hosts.confinement import Confinement, left_over
from datacentre.hosts.host import Host, Image
from datacentre.hosts.identity import Notary
from datacentre.hosts.machine import Machine
from datacentre.hosts.metadata import Metadata
from datacentre.states import States

LOCK = Path("/run/updraft-datacentre.lock")
# Where mounts and disks of hosts are.
PLACE = Path("/var/tmp/updraft-datacentre")
# What a slow host has of a core, and how much longer a packet takes, each way.
SLOW_CORES, SLOW_SECONDS = 0.25, 0.1
NEEDED = ["systemd-nspawn", "ip", "bridge", "nft", "setpriv"]


class Park:
    def __init__(self, image: Path, states: States) -> None:
        missing = [program for program in NEEDED if shutil.which(program) is None]
        if missing:
            raise OSError(f"this machine has no {', '.join(missing)}: install systemd-container, iproute2 and nftables")
        self._lock = _take()
        _clear()
        PLACE.mkdir(mode=0o700)
        network.make()
        dhcp.serve()
        self._states = states
        self._image = Image((first_boot.make(PLACE / "first-boot"), image))
        self._notary = Notary()
        self._metadata = Metadata(self._notary)
        self._metadata.serve(network.metadata_socket())
        self._hosts: dict[str, Host] = {}

    def launch(self, machine: Machine) -> None:
        host = Host(machine, self._image, PLACE / machine.instance, lambda state: self._heard(machine, state))
        self._hosts[machine.instance] = host
        self._metadata.tell(machine)
        host.launch()

    def bring(self, instance: str, state: str) -> None:
        """To running, stopped or terminated."""
        host = self._hosts[instance]
        {"running": host.start, "stopped": host.stop, "terminated": host.terminate}[state]()

    def befall(self, instance: str, what: str, seconds: float) -> None:
        """`seconds` is how long a reclaimed one has."""
        host = self._hosts[instance]
        match what:
            case "lose-power":
                host.lose_power()
            case "freeze":
                host.freeze()
            case "thaw":
                host.thaw()
            case "part":
                host.part(True)
            case "join":
                host.part(False)
            case "slow":
                host.slow(SLOW_CORES, SLOW_SECONDS)
            case "quicken":
                host.quicken()
            case "reclaim":
                self._metadata.give_notice(host.machine, seconds)
                threading.Timer(seconds, self._reclaim, [instance]).start()
            case _:
                raise ValueError(what)

    def all(self) -> dict[str, Any]:
        return {
            name: {"address": host.machine.address, "init": host.init()}
            for name, host in self._hosts.items()
            if self._states.state(name) != "terminated"
        }

    def console(self, instance: str) -> str:
        console = self._hosts[instance].console
        return console.read_text(errors="replace") if console.exists() else ""

    @property
    def certificate(self) -> str:
        """Whose key signs identity documents."""
        return self._notary.certificate

    def close(self) -> None:
        """All hosts lose their power, also those that are only being made."""
        _clear()
        self._lock.close()

    def _heard(self, machine: Machine, state: str) -> None:
        self._states.arrived(machine.instance, state)
        if state == "terminated":
            self._metadata.forget(machine)

    def _reclaim(self, instance: str) -> None:
        if self._states.state(instance) in ("shutting-down", "terminated"):
            return
        machine = self._hosts[instance].machine
        self._states.move(instance, "shutting-down", math.inf, "terminated")
        ec2_backends[machine.account][machine.region].terminate_instances([instance])
        self._hosts[instance].terminate()


def clear() -> None:
    """Ends and removes whatever a data centre that is no more has left on this machine."""
    with _take():
        _clear()


def _clear() -> None:
    for name in left_over(network.PREFIX):
        Confinement(name).remove()
    network.remove()
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in mounted:
        if place.startswith(f"{PLACE}/"):
            subprocess.run(["umount", "--lazy", place], check=True)
    shutil.rmtree(PLACE, ignore_errors=True)


def _take() -> IO[str]:
    lock = LOCK.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError("another data centre has its hosts on this machine; there is room for one") from error
    return lock
