"""`python -m updraft_airflow.prefork --socket PATH`."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="updraft_airflow.prefork")
    parser.add_argument("--socket", required=True, type=Path, help="unix socket to answer on (made with mode 0600)")
    socket_path: Path = parser.parse_args().socket

    # Nothing imported here is garbage; collecting it again and again costs a fifth of the start.
    gc.disable()
    from updraft_airflow.prefork import serve, thaw, warm

    warm.import_everything()
    parent = thaw.Constants.now()
    gc.collect()
    gc.freeze()
    sys.stderr.write(f"prefork: ready after {time.process_time():.1f} CPU seconds\n")

    forked = serve.serve(socket_path)
    if forked is None:
        return 0
    # From here on this process is a service. It left the server's stack, so it ends like any Python program.
    gc.enable()
    return thaw.run(forked, parent)


if __name__ == "__main__":
    sys.exit(main())
