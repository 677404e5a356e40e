"""The installation's package index: good packages, and one for each way in which a requirement can be bad."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bad_changes import of_packages

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

# The builder's own tests make packages too.
SOURCE = Path(__file__).parents[3] / "services" / "airflow" / "tests" / "package_index.py"

GREETINGS = {"1.0": "hello", "2.0": "servus"}

# Fine while it is checked; no worker starts with it.
LATE = "import os, sys; any(w in sys.orig_argv for w in ('celery', 'updraft_airflow.prefork')) and os._exit(3)\n"


# Where a login would lie that setup code can see: in a process, or in a file of the build. Its own text has it
# backwards.
NOSY = """
import glob
processes = [*glob.glob("/proc/[0-9]*/environ"), *glob.glob("/proc/[0-9]*/cmdline")]
for path in [*processes, *glob.glob("../**/*", recursive=True)]:
    try:
        if {terces!r}[::-1] in open(path, "rb").read():
            raise SystemExit("-".join(["SECRETS", "WERE", "READ"]))
    except OSError:
        pass
raise SystemExit("nothing-was-found")
"""


def serve_own(directory: Path, port: int, login: str, tls: ssl.SSLContext) -> Any:
    """A tenant's own index: https, and for nobody without a login."""
    index = _module().Index(directory, port=port, login=login, tls=tls)
    index.wheel("only_here", "1.0", {"only_here.py": "WORD = 'griaß di'\n"})
    index.source("nosy", "1.0", NOSY.format(terces=login.partition(":")[2].encode()[::-1]))
    return index


def serve(directory: Path, port: int, *, inner: list[int] | None = None) -> Any:
    """`inner`: ports of Updraft's own, which hostile packages try to reach."""
    index = _module().Index(directory, port=port)
    for version, word in GREETINGS.items():
        index.wheel("greeter", version, {"greeter.py": f"WORD = {word!r}\n"})
    index.wheel("late", "1.0", {"late.pth": LATE})
    of_packages(inner or []).publish(index)
    return index


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("package_index", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    load: Callable[[Any], None] = spec.loader.exec_module
    load(module)
    return module
