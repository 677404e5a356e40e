"""One call as it came: who signed it, for which service, and its parameters."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass
class Call:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    """As the server that took it describes it."""
    environ: dict[str, Any] = field(default_factory=dict, repr=False)
    access_key: str = ""
    region: str = ""
    service: str = ""
    params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, environ: dict[str, Any], url: str, headers: dict[str, str], body: bytes) -> Call:
        call = cls(environ["REQUEST_METHOD"], url, headers, body, environ)
        if scope := SCOPE.search(headers.get("authorization", "")):
            call.access_key, call.region, call.service = scope.groups()
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            call.params = dict(parse_qsl(body.decode(), keep_blank_values=True))
        return call

    @property
    def action(self) -> str:
        return self.params.get("Action") or self.headers.get("x-amz-target", "").rpartition(".")[2]

    def json(self) -> Any:
        """Of a service that is asked so."""
        return json.loads(self.body or b"{}")

    def listed(self, name: str) -> list[str]:
        """`name.1`, `name.2`, …"""
        numbered = re.compile(rf"{re.escape(name)}\.(\d+)")
        found = [(int(m[1]), value) for key, value in self.params.items() if (m := numbered.fullmatch(key))]
        return [value for _, value in sorted(found)]

    def filters(self) -> dict[str, list[str]]:
        numbers = [m[1] for key in self.params if (m := re.fullmatch(r"Filter\.(\d+)\.Name", key))]
        return {self.params[f"Filter.{n}.Name"]: self.listed(f"Filter.{n}.Value") for n in numbers}

    def with_params(self, params: dict[str, str]) -> Call:
        return replace(self, params=params, body=urlencode(params).encode())
