"""`python -m updraft_airflow.prefork --socket PATH`."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import sys
import time
from pathlib import Path


def _give_back_free_memory() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="updraft_airflow.prefork")
    parser.add_argument("--socket", required=True, type=Path, help="unix socket to answer on (made with mode 0600)")
    socket_path: Path = parser.parse_args().socket

    # A collection finds little here, costs a third of the start, and leaves holes: a fork that fills them copies pages.
    gc.disable()
    from setproctitle import setproctitle

    from updraft_airflow.prefork import serve, thaw, warm

    # The first call looks for argv beside the environment it was started with, which a fork replaces.
    setproctitle(f"updraft prefork {socket_path}")
    warm.import_everything()
    parent = thaw.Constants.now()
    gc.freeze()
    _give_back_free_memory()
    sys.stderr.write(f"prefork: ready after {time.process_time():.1f} CPU seconds\n")

    forked = serve.serve(socket_path)
    if forked is None:
        return 0
    # From here on this process is a service. It left the server's stack, so it ends like any Python program.
    gc.enable()
    return thaw.run(forked, parent)


if __name__ == "__main__":
    sys.exit(main())
