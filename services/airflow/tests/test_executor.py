"""What the executor makes of what workers say."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from updraft_airflow.broker_queues import held_by_workers

Answers = dict[str, dict[str, tuple[str, dict[str, str]]]]


def unknown(answers: Answers | None, *asked: str) -> set[str]:
    app: Any = Mock()
    app.control.inspect.return_value.query_task.return_value = answers
    return set(asked) - held_by_workers(app, set(asked))


def test_what_a_worker_runs_or_will_run_is_known() -> None:
    answers: Answers = {"worker@a": {"1": ("active", {})}, "worker@b": {"2": ("reserved", {})}}
    assert unknown(answers, "1", "2", "3") == {"3"}


def test_what_a_worker_only_remembers_is_lost() -> None:
    # A worker that lost its connection drops what it had not begun. Seen with Celery 5.6: it stays "ready" for ever.
    assert unknown({"worker@a": {"1": ("ready", {})}}, "1") == {"1"}


def test_without_an_answer_nothing_is_known() -> None:
    assert unknown(None, "1") == {"1"}
    assert unknown({}, "1") == {"1"}
    assert unknown(None) == set()
