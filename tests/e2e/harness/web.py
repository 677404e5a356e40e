"""A browser without a page: HTTP with cookies per host and redirects followed, as far as the tests need it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

LIMIT = 30.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    url: str

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Web:
    """Cookies by host, as browsers keep them: ports don't matter, paths do."""

    cookies: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)

    def set_cookie(self, host: str, name: str, value: str, path: str = "/") -> None:
        self.cookies.setdefault(host, {})[(name, path)] = value

    def get(self, url: str, **options: Any) -> Answer:
        return self.ask("GET", url, **options)

    def ask(
        self,
        method: str,
        url: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        follow: bool = True,
        limit: float = LIMIT,
    ) -> Answer:
        for _ in range(12):
            answer = self._once(method, url, body, headers or {}, limit)
            location = answer.headers.get("location")
            if not follow or answer.status not in (301, 302, 303, 307, 308) or location is None:
                return answer
            url = urljoin(url, location)
            if answer.status not in (307, 308):
                method, body = "GET", None
        raise AssertionError(f"redirects without end, now at {url}")

    def _once(self, method: str, url: str, body: object, headers: dict[str, str], limit: float) -> Answer:
        parts = urlsplit(url)
        sent = {"Accept": "text/html,application/json", **self._cookie_header(parts.hostname or "", parts.path)}
        if method not in ("GET", "HEAD"):
            sent["Origin"] = f"{parts.scheme}://{parts.netloc}"
        data = None
        if isinstance(body, str):
            data = body.encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(parts.netloc, timeout=limit)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, data, {**sent, **headers})
            response = connection.getresponse()
            self._keep(parts.hostname or "", response.headers.get_all("set-cookie") or [])
            received = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, received, response.read(), url)
        finally:
            connection.close()

    def _cookie_header(self, host: str, path: str) -> dict[str, str]:
        kept = self.cookies.get(host, {}).items()
        fitting = [f"{name}={value}" for (name, place), value in kept if path.startswith(place.rstrip("/"))]
        return {"Cookie": "; ".join(fitting)} if fitting else {}

    def _keep(self, host: str, lines: list[str]) -> None:
        for line in lines:
            pair, *attributes = [part.strip() for part in line.split(";")]
            name, _, value = pair.partition("=")
            given = {key.lower(): text for key, _, text in (part.partition("=") for part in attributes)}
            key = (name, given.get("path", "/"))
            if not value or given.get("max-age") == "0":
                self.cookies.get(host, {}).pop(key, None)
            else:
                self.cookies.setdefault(host, {})[key] = value
