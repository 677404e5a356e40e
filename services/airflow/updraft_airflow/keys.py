"""The edge's public keys, read from a JWKS file that the agent replaces by rename.

Only Ed25519 keys with a key id are taken. A new file is noticed by its identity, at the next token; there is no cache
time to wait for, so a key can be rotated without a restart.
"""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

from jwt import InvalidKeyError, PyJWK, PyJWKError

log = logging.getLogger(__name__)

_Identity = tuple[int, int, int]


class KeyFile:
    """The keys of one JWKS file, by key id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._identity: _Identity | None = None
        self._keys: dict[str, PyJWK] = {}

    def key(self, kid: str) -> PyJWK | None:
        """The key with this id, or None if the file does not hold it now."""
        with self._lock:
            self._reload_if_changed()
            return self._keys.get(kid)

    def _reload_if_changed(self) -> None:
        try:
            stat = self._path.stat()
            identity = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if identity == self._identity:
                return
            self._keys = _parse(json.loads(self._path.read_text()))
            self._identity = identity
        except (OSError, ValueError) as problem:
            # The keys known so far stay good: a half-written file must not sign everyone out.
            log.error("The edge's key file %s can't be read: %s", self._path, problem)


def _parse(document: Any) -> dict[str, PyJWK]:
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no JSON web key set")
    keys = {}
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        kid = entry.get("kid")
        if not isinstance(kid, str) or entry.get("kty") != "OKP" or entry.get("crv") != "Ed25519" or "d" in entry:
            continue
        try:
            keys[kid] = PyJWK(entry, algorithm="EdDSA")
        except (PyJWKError, InvalidKeyError) as problem:
            log.error("Key %s of the edge is unusable: %s", kid, problem)
    return keys
