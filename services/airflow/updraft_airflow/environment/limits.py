"""What the kernel holds a build and all its children to. The agent watches the sum of them besides."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from updraft_airflow.environment.words import Limits

_ADDRESS_SPACE = 4
"""Times the memory: much of what is reserved is never used."""


_DUMPABLE = 4
"""`PR_SET_DUMPABLE` of <sys/prctl.h>."""


def apply(limits: Limits) -> None:
    # Setup code has the same user: it is not to speak for the builder, nor to write into its memory.
    ctypes.CDLL(None).prctl(_DUMPABLE, 0, 0, 0, 0)
    # The first process of a table takes no signal from it but those that it asks for, as Python does for this one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
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

