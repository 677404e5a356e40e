"""What the kernel holds a build and all its children to. The agent watches the sum of them besides."""

from __future__ import annotations

import os
import resource

from updraft_airflow.environment.words import Limits

_ADDRESS_SPACE = 4
"""Times the memory: much of what is reserved is never used."""


def apply(limits: Limits) -> None:
    os.nice(10)
    os.umask(0o022)
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits.disk_bytes,
        resource.RLIMIT_CPU: limits.time_s,
        resource.RLIMIT_AS: limits.memory_bytes * _ADDRESS_SPACE,
        # It counts all that this user runs: the agent has added the cluster's services.
        resource.RLIMIT_NPROC: limits.processes,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (most, most))

