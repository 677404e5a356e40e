"""What this node is called. Refuses to ask a resolver: nodes of one machine would share a name, and it may be slow."""

from __future__ import annotations

import os


def hostname() -> str:
    """The node's own address, as Airflow's `core.hostname_callable`.

    It is what Airflow stores for jobs and task instances, and it stays reachable as a name.
    """
    return os.environ.get("UPDRAFT_ADDRESS") or "localhost"
