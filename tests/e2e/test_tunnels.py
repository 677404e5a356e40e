"""A web node that nothing connects to: all that people do goes through the tunnels that its agent dialled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness import processes
from harness.waiting import wait_for
from harness.web import Web

if TYPE_CHECKING:
    from typing import Any

    from harness.installation import Installation

AIRFLOW_PORT = 8080


def test_airflow_is_used_through_tunnels_alone(installation: Installation, demo: dict[str, Any]) -> None:
    installation.interrupt()
    installation.up("--tunnels", seconds=300)
    installation.rest().wait_for_phase("demo", "running")
    airflow = installation.airflow(demo["id"], installation.rest())
    run = airflow.trigger("hello_updraft")
    assert airflow.wait_for_run("hello_updraft", run) == "success"
    rest = installation.rest()
    web_nodes = sum(rest.phase(cluster["name"]) != "stopped" for cluster in rest.items("clusters"))
    wait_for("each web node holds two tunnels", lambda: tunnels(installation)["open"] == 2 * web_nodes, 120)
    assert not connections_to_web_nodes(edge(installation)), "the edge has connected to a web node itself"

    processes.kill(edge(installation))
    wait_for("Airflow answers again", lambda: airflow.ask("GET", "version").status == 200, 20)
    assert not connections_to_web_nodes(edge(installation))


def edge(installation: Installation) -> int:
    return wait_for("an edge runs", lambda: processes.updraft("edge", installation.data_dir), 20)[0]


def tunnels(installation: Installation) -> dict[str, int]:
    address = f"http://127.0.0.1:{installation.port_base + 1}/_updraft/health"
    health: dict[str, dict[str, int]] = Web().get(address).json()
    return health["tunnels"]


def connections_to_web_nodes(pid: int) -> list[str]:
    """Of this process, to any address's port of Airflow; read from the kernel's table."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    assert rows and sockets
    return [row[2] for row in rows if row[2].endswith(f":{AIRFLOW_PORT:04X}") and f"socket:[{row[9]}]" in sockets]
