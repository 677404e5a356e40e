"""One Airflow as a signed-in person reaches it: through the edge, by hand-over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .waiting import wait_for
from .web import Answer, Web

DONE = ("success", "failed")


@dataclass
class Airflow:
    url: str
    web: Web = field(default_factory=Web)

    @classmethod
    def open(cls, console: str, airflow_url: str, token: str) -> Airflow:
        """The console's cookie is the same token; the edge sends the browser there and back."""
        web = Web()
        web.set_cookie(urlsplit(console).hostname or "", "updraft_session", token)
        this = cls(airflow_url.rstrip("/"), web)
        page = web.get(f"{this.url}/")
        assert page.status == 200 and page.url.startswith(this.url), f"{page.status} at {page.url}: {page.text[:500]}"
        return this

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        json = {"Accept": "application/json"}
        return self.web.ask(method, f"{self.url}/api/v2/{path}", body, json, follow=False)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        if answer.status in (502, 503, 504):
            raise OSError(f"{answer.status} from {path}")
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.text[:500]}"
        return answer.json()

    def has_dag(self, dag: str) -> bool:
        """One that went with an earlier version is still answered for, and can't be run until it is parsed again."""
        answer = self.ask("GET", f"dags/{dag}")
        return answer.status == 200 and not answer.json()["is_stale"]

    def trigger(self, dag: str, conf: dict[str, Any] | None = None, parsed_within: float = 90) -> str:
        wait_for(f"DAG `{dag}` is parsed", lambda: self.has_dag(dag), parsed_within)
        unpaused = self.ask("PATCH", f"dags/{dag}", {"is_paused": False})
        assert unpaused.status == 200, unpaused.text
        run = self.ask("POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": conf or {}})
        assert run.status in (200, 201), run.text
        return str(run.json()["dag_run_id"])

    def run_state(self, dag: str, run: str) -> str:
        return str(self.get(f"dags/{dag}/dagRuns/{run}")["state"])

    def wait_for_run(self, dag: str, run: str, seconds: float = 240) -> str:
        def ended() -> str | None:
            state = self.run_state(dag, run)
            return state if state in DONE else None

        return str(wait_for(f"run of `{dag}` ends", ended, seconds))

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return list(self.get(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"])

    def result(self, dag: str, run: str, task: str) -> Any:
        entry = self.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value")
        return entry["value"]

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return list(self.get(f"dags/{dag}/dagRuns")["dag_runs"])
