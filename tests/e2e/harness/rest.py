"""Updraft's REST API with a token."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from .waiting import wait_for
from .web import Answer, Web


@dataclass
class Rest:
    console: str
    token: str | None = None

    @classmethod
    def sign_in(cls, console: str, email: str, password: str) -> Rest:
        def tried() -> Answer | None:
            answer = cls(console).ask("POST", "sessions", {"email": email, "password": password})
            return None if answer.status == 429 else answer

        answer = wait_for("signing in is allowed", tried, 60, every=1)
        assert answer is not None
        assert answer.status in (200, 201), answer.text
        return cls(console, answer.json()["token"])

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        sent = dict(headers or {})
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if method == "POST":
            sent.setdefault("Idempotency-Key", str(uuid.uuid4()))
        return Web().ask(method, f"{self.console}/api/v1/{path}", body, sent, follow=False)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.text}"
        return answer.json()

    def post(self, path: str, body: object = None) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.status in (200, 201, 202), f"POST {path}: {answer.status} {answer.text}"
        return answer.json()

    def put(self, path: str, body: object) -> None:
        answer = self.ask("PUT", path, body)
        assert answer.status in (200, 201, 204), f"PUT {path}: {answer.status} {answer.text}"

    def items(self, path: str) -> list[dict[str, Any]]:
        return list(self.get(path)["items"])

    def cluster(self, name: str) -> dict[str, Any]:
        return next(cluster for cluster in self.items("clusters") if cluster["name"] == name)

    def phase(self, name: str) -> str:
        return str(self.cluster(name)["phase"]["state"])

    def wait_for_phase(self, name: str, phase: str, seconds: float = 240) -> None:
        wait_for(f"`{name}` is {phase}", lambda: self.phase(name) == phase, seconds)

    def service(self, cluster: int, name: str, node: str | None = None) -> dict[str, Any]:
        """The first service of that name, on that node if one is named."""
        listed = self.items(f"clusters/{cluster}/services")
        return next(one for one in listed if one["name"] == name and node in (None, one["node_label"]))
