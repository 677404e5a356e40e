"""Serves until it is told to stop."""

import argparse
import logging
import os
import signal
import sys

from werkzeug.serving import run_simple

# Moto reads these when it is imported.
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "1")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1")

from datacentre.endpoint import Endpoint


def main() -> None:
    parser = argparse.ArgumentParser(prog="datacentre", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5001)
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    run_simple(arguments.host, arguments.port, Endpoint(), threaded=True)


main()
