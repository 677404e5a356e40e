"""A second SAML identity provider for tests: SimpleSAMLphp, as Debian packages it.

    simplesaml_idp.py serve DIRECTORY [--port PORT]
    simplesaml_idp.py record FILE

As `saml_idp.py`: DIRECTORY holds `settings.json` and `sp/*.xml`, read again at each request, and keys; the recorded
responses, begun at the provider, are for the tests of services/sso. Metadata is at /saml2/idp/metadata.php, a sign-in
that begins here at /saml2/idp/SSOService.php?spentityid=….
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from saml_idp import ADA, SP, ensure_key, sp_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALLED = Path("/usr/share/simplesamlphp")
HERE = Path(__file__).parent
KINDS: dict[str, dict[str, Any]] = {
    "signed_response": {"sign_assertion": False},
    "signed_assertion": {"sign_response": False},
    "signed_both": {},
    "encrypted_gcm": {"encrypt": "aes256-gcm"},
    "encrypted_cbc": {"encrypt": "aes256-cbc"},
}


def prepare(directory: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the server."""
    for name in ("sp", "tmp"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for name in ("first", "second"):
        ensure_key(directory, name)
    environment = {
        **os.environ,
        "SIMPLESAMLPHP_CONFIG_DIR": str(HERE / "simplesamlphp"),
        "UPDRAFT_IDP_DIRECTORY": str(directory.resolve()),
        "UPDRAFT_IDP_BASE": f"http://127.0.0.1:{port}",
    }
    php = shutil.which("php") or "php"
    # Deprecations of its libraries are no part of a page.
    quiet = ["-d", "error_reporting=0", "-d", "display_errors=0"]
    return [php, *quiet, "-S", f"127.0.0.1:{port}", "-t", str(INSTALLED / "www")], environment


def serve(directory: Path, port: int) -> None:
    command, environment = prepare(directory, port)
    print(f"http://127.0.0.1:{port}", flush=True)
    os.execve(command[0], command, environment)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(directory: Path) -> Iterator[str]:
    port = free_port()
    command, environment = prepare(directory, port)
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            await_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def await_port(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("SimpleSAMLphp does not listen")


def record(target: Path) -> None:
    """Responses of every kind, all of now."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        sp_key, sp_certificate = ensure_key(directory, "sp")
        (directory / "sp").mkdir()
        (directory / "sp" / "updraft.xml").write_text(sp_metadata(sp_certificate))
        recorded: dict[str, Any] = {"at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "responses": {}}
        with running(directory) as base:
            for name, settings in KINDS.items():
                (directory / "settings.json").write_text(json.dumps({"people": {"ada": ADA}, **settings}))
                recorded["responses"][name] = sign_in(base)
            with build_opener().open(f"{base}/saml2/idp/metadata.php?output=xml") as answer:
                recorded["idp_metadata"] = answer.read().decode()
        recorded["sp_secret"] = sp_certificate.read_text() + sp_key.read_text()
    target.write_text(json.dumps(recorded, indent=1) + "\n")


def sign_in(base: str) -> str:
    """The response that the provider hands to Ada's browser."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    with browser.open(f"{base}/saml2/idp/SSOService.php?spentityid={quote(SP, safe='')}") as answer:
        address, page = answer.geturl(), answer.read().decode()
    form = {
        name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    }
    form |= {"username": "ada", "password": str(ADA["password"])}
    with browser.open(address.split("?")[0] + "?", urlencode(form).encode()) as answer:
        page = answer.read().decode()
    found = re.search(r'name="SAMLResponse"\s+value="([^"]*)"', page)
    if found is None:
        raise LookupError(page)
    return base64.b64decode(html.unescape(found.group(1))).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serving = verbs.add_parser("serve")
    serving.add_argument("directory", type=Path)
    serving.add_argument("--port", type=int, default=0)
    recording = verbs.add_parser("record")
    recording.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "serve":
        serve(arguments.directory, arguments.port or free_port())
    else:
        record(arguments.file)


if __name__ == "__main__":
    main()
