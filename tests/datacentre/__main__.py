"""Serves until it is told to stop."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from werkzeug.serving import run_simple

# Moto reads these when it is imported.
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "1")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1")

from datacentre.endpoint import Endpoint
from datacentre.hosts.park import Park, clear
from datacentre.states import States


def main() -> None:
    parser = argparse.ArgumentParser(prog="datacentre", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument("--hosts", type=Path, metavar="ROOT", help="instances are hosts with this root file system")
    parser.add_argument("--clear", action="store_true", help="remove what a data centre with hosts left, and end")
    arguments = parser.parse_args()
    if arguments.clear:
        return clear()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    states = States()
    park = Park(arguments.hosts, states) if arguments.hosts else None
    try:
        run_simple(arguments.host, arguments.port, Endpoint(states, park), threaded=True)
    finally:
        if park:
            park.close()


main()
