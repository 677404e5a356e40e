"""One host for all clusters of the only tenant: what still holds there, and what mutual trust means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.installation import Installation

HOSTILE = Path(__file__).parent / "hostile" / "evil_plugin.py"


def test_hostile_cluster_on_a_shared_host(
    journey: Callable[..., None],
    installation: Installation,
    demo: dict[str, Any],
    neighbour: dict[str, Any],
    person: Callable[..., tuple[str, str]],
) -> None:
    email, password = person("nora", {neighbour["id"]: "admin"})
    host = f"http://127.0.0.1:{installation.port_base + 1}"
    nodes = installation.rest().items(f"clusters/{neighbour['id']}/nodes")
    web_node = next(node for node in nodes if node["role"] == "web")
    places = installation.data_dir.glob(f"nodes/*{web_node['id']}*/**/work/plugins")
    plugins = [place / HOSTILE.name for place in places]
    assert plugins, "the web node's plugins folder was not found"
    for plugin in plugins:
        plugin.write_text(HOSTILE.read_text())
    try:
        installation.interrupt()
        installation.up("--airflow-url", f"{host}/airflow-webserver-{{cluster}}/", seconds=300)
        rest = installation.rest()
        for name in ("demo", "neighbour"):
            rest.wait_for_phase(name, "running")
        clusters = {
            part: {"id": view["id"], "name": view["name"], "url": f"{host}/airflow-webserver-{view['id']}/"}
            for part, view in (("victim", demo), ("hostile", neighbour))
        }
        journey("shared_host.test.mjs", visitor={"email": email, "password": password}, **clusters)
        assert rest.cluster("demo")["power"] == "running"
        other = {"name": "Another", "owner": {"email": "owner@another.example", "name": "Owner"}}
        refused = rest.ask("POST", "tenants", other)
        assert refused.status == 409, "tenants never share a host"
    finally:
        for plugin in plugins:
            plugin.unlink()
        installation.interrupt()
