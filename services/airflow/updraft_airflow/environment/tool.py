"""One run of `uv`: nothing of anybody's configuration, and everything it writes below the staging directory."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from updraft_airflow.environment.words import Request


def uv(request: Request, *arguments: str) -> subprocess.CompletedProcess[str]:
    scratch = request.staging / "scratch"
    (scratch / "tmp").mkdir(parents=True, exist_ok=True)
    # Not on the command line, which everybody can read.
    indexes = {"UV_DEFAULT_INDEX": request.index_url, "UV_INDEX": request.own_index}
    wheels = [] if request.allow_source_builds else ["--only-binary", ":all:"]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch / "tmp"),
        "UV_CACHE_DIR": str(scratch / "cache"),
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_CONCURRENT_BUILDS": "2",
        "UV_CONCURRENT_INSTALLS": "2",
        "UV_HTTP_TIMEOUT": "30",
        "NO_COLOR": "1",
        **{name: url for name, url in indexes.items() if url},
        **{name: os.environ[name] for name in ("UPDRAFT_SERVICE",) if name in os.environ},
    }
    return subprocess.run(  # noqa: S603
        [str(request.uv), "pip", *arguments, *wheels],
        env=environment,
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
