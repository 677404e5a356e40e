"""What control makes of a node's user data, and the archives it names."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
BOOT = REPOSITORY / "infra" / "boot"
AGENT = Path(os.environ.get("UPDRAFT_BIN", REPOSITORY / "target/debug/updraft")).with_name("updraft-agent")
UNIT = [BOOT / "updraft-agent.service", BOOT / "shield-metadata.sh"]
INTERPRETER = os.path.realpath(sys.executable)


def rendered(values: dict[str, str]) -> str:
    # What each place is for is said above this line, by its name.
    head, marker, body = (BOOT / "user-data.sh").read_text().partition("set -eu\n")
    for name, value in values.items():
        body = body.replace("{{" + name + "}}", value)
    assert "{{" not in body
    return head + marker + body


def packed(name: str, content: bytes, *files: Path) -> bytes:
    """An archive of one program and of files as they are."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o777
        tar.addfile(entry, io.BytesIO(content))
        for file in files:
            tar.add(file, file.name)
    return archive.getvalue()


def agent_archive() -> bytes:
    """The archive `agent`: as it ships, if UPDRAFT_AGENT_ARCHIVE names what `infra/agent/build` made."""
    shipped = os.environ.get("UPDRAFT_AGENT_ARCHIVE")
    return Path(shipped).read_bytes() if shipped else packed("updraft-agent", AGENT.read_bytes(), *UNIT)


def environment(interpreter: str = INTERPRETER, version: str = f"{sys.version_info[0]}.{sys.version_info[1]}") -> bytes:
    """The archive of a runtime with nothing but an Airflow to be found, as `infra/image/build` makes them."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        link = tarfile.TarInfo("bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, interpreter
        tar.addfile(link)
        home = f"home = {Path(interpreter).parent}\n".encode()
        for name, content in (("pyvenv.cfg", home), (f"lib/python{version}/site-packages/airflow/__init__.py", b"")):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
