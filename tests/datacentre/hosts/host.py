"""One host from its first boot to its end: its disk, its link, its systemd, and what is done to it from outside."""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datacentre.hosts import first_boot, network
from datacentre.hosts.confinement import Confinement
from datacentre.hosts.delay import Delay
from datacentre.hosts.machine import Machine

# Seconds that a host has to shut down in; then its power is taken.
PATIENCE = 60.0
LOOK_EVERY = 0.1
# How a container ends that is to be started again.
REBOOTING = 133
CONTAINER = [
    "systemd-nspawn",
    # Of a systemd: to shut down.
    "--kill-signal=SIGRTMIN+3",
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--console=read-only",
    "--resolv-conf=off",
    "--timezone=off",
    "--link-journal=no",
    # An instance's root sets routes and limits.
    "--capability=CAP_NET_ADMIN,CAP_SYS_RESOURCE",
]


@dataclass(frozen=True)
class Image:
    """Directories of a root file system, the uppermost first. They stay as they are."""

    layers: tuple[Path, ...]


class Host:
    """Orders are carried out one after the other, by a thread of its own. `tell` hears where the host has got to."""

    def __init__(self, machine: Machine, image: Image, place: Path, tell: Callable[[str], None]) -> None:
        self.machine = machine
        self.console = place / "console"
        self._image, self._place, self._tell = image, place, tell
        self._root = place / "root"
        self._name = network.name_of(machine.instance)
        self._confinement = Confinement(self._name)
        self._orders: queue.Queue[str] = queue.Queue()
        self._container: subprocess.Popen[bytes] | None = None
        self._delay: Delay | None = None
        self._ended = False
        self._keeper = threading.Thread(target=self._keep, name=self._name, daemon=True)

    def init(self) -> int | None:
        """Its first process, as the machine around it numbers it."""
        container = self._container
        if container is None:
            return None
        children = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
        return int(children[0]) if children else None

    # What EC2 does to it.

    def launch(self) -> None:
        self._orders.put("make")
        self._orders.put("start")
        self._keeper.start()

    def start(self) -> None:
        self._orders.put("start")

    def stop(self) -> None:
        self._orders.put("stop")

    def terminate(self) -> None:
        self._orders.put("stop")
        self._orders.put("remove")

    # What befalls it.

    def lose_power(self) -> None:
        self._confinement.end()

    def freeze(self) -> None:
        self._confinement.hold(True)

    def thaw(self) -> None:
        self._confinement.hold(False)

    def part(self, parted: bool) -> None:
        network.part(self.machine.instance, parted)

    def slow(self, cores: float, delay: float) -> None:
        """So much of a core is all it has, and each packet takes so many seconds longer, each way."""
        self._confinement.share(cores)
        if self._delay is None:
            self._delay = Delay(self.machine.instance, delay)

    def quicken(self) -> None:
        self._confinement.share(None)
        if self._delay is not None:
            self._delay.end()
            self._delay = None

    def wait_for_end(self) -> None:
        self._keeper.join(2 * PATIENCE)

    def _keep(self) -> None:
        while not self._ended:
            try:
                order = self._orders.get(timeout=LOOK_EVERY)
            except queue.Empty:
                self._look()
                continue
            try:
                self._carry_out(order)
            except OSError as error:
                with self.console.open("a") as console:
                    console.write(f"\nthe data centre could not {order} this host: {error}\n")

    def _carry_out(self, order: str) -> None:
        match order:
            case "make":
                self._make()
            case "start":
                self._boot()
                self._tell("running")
            case "stop":
                self._shut_down()
                self._tell("stopped")
            case "remove":
                self._remove()
                self._tell("terminated")
                self._ended = True

    def _make(self) -> None:
        for part in ("upper", "work", "root"):
            (self._place / part).mkdir(parents=True)
        lower = ":".join(str(layer) for layer in self._image.layers)
        # Volatile: nothing waits for the disk below, which a host never loses.
        options = f"volatile,lowerdir={lower},upperdir={self._place / 'upper'},workdir={self._place / 'work'}"
        network.run("mount", "-t", "overlay", "-o", options, self._name, str(self._root))
        (self._root / "etc/hostname").write_text(f"{self.machine.host_name}\n")
        names = f"127.0.0.1 localhost\n{self.machine.address} {self.machine.host_name}\n"
        (self._root / "etc/hosts").write_text(names)
        (self._root / "etc/resolv.conf").unlink(missing_ok=True)
        (self._root / "etc/resolv.conf").write_text("# Nothing resolves names here.\n")
        network.attach(self.machine.instance, self.machine.mac)
        self._confinement.make()

    def _boot(self) -> None:
        space = network.space_file(self.machine.instance)
        its_own = [f"--machine={self._name}", f"--hostname={self.machine.host_name}"]
        its_own += [f"--network-namespace-path={space}", f"--directory={self._root}"]
        # It ends with this thread, and so with the data centre.
        script = self._confinement.entering() + 'exec setpriv --pdeathsig KILL "$@"'
        with self.console.open("ab") as console:
            self._container = subprocess.Popen(
                ["sh", "-c", script, "sh", *CONTAINER, *its_own, first_boot.FIRST],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    def _shut_down(self) -> None:
        if self._container is None:
            return
        if self._confinement.held:
            # It hears nothing.
            self._confinement.end()
        self._container.terminate()
        try:
            self._container.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._confinement.end()
            self._container.wait()
        self._container = None

    def _look(self) -> None:
        if self._container is None or self._container.poll() is None:
            return
        rebooting = self._container.returncode == REBOOTING
        self._container = None
        if rebooting:
            self._boot()
        else:
            self._tell("stopped")

    def _remove(self) -> None:
        self.quicken()
        self._confinement.remove()
        network.detach(self.machine.instance)
        network.run("umount", str(self._root))
        for part in ("upper", "work", "root"):
            shutil.rmtree(self._place / part)
