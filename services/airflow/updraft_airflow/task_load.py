"""How many tasks there are, noted for the agent: by it, queues get the workers that they need."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger(__name__)

# A task in one of these has a worker, or is about to leave it.
_ON_A_WORKER = (TaskInstanceState.RUNNING, TaskInstanceState.RESTARTING)

Row = tuple[str | None, str | None, str | None, int]


def note_load(file: str | None) -> None:
    """Writes the note whole, or not at all; it is written anew also when nothing changed, so that its age tells."""
    if not file:
        return
    states = (TaskInstanceState.QUEUED, *_ON_A_WORKER)
    counts = (
        select(TaskInstance.queue, TaskInstance.state, TaskInstance.hostname, func.count())
        .where(TaskInstance.state.in_(states))
        .group_by(TaskInstance.queue, TaskInstance.state, TaskInstance.hostname)
    )
    path = Path(file)
    fresh = path.with_suffix(".new")
    try:
        with create_session() as session:
            rows: list[Row] = [(row[0], row[1], row[2], row[3]) for row in session.execute(counts)]
        fresh.write_text(json.dumps(load(rows)))
        fresh.replace(path)
    except (SQLAlchemyError, OSError) as problem:
        _log.warning("How many tasks there are is not known now: %s", problem)


def load(rows: Iterable[Row]) -> dict[str, Any]:
    """As the agent reads it."""
    queued: Counter[str] = Counter()
    running: Counter[str] = Counter()
    workers: Counter[str] = Counter()
    for queue, state, hostname, count in rows:
        if state == TaskInstanceState.QUEUED:
            queued[queue or "default"] += count
        else:
            running[queue or "default"] += count
            workers[hostname or ""] += count
    return {
        "queues": [
            {"queue": queue, "queued": queued[queue], "running": running[queue]}
            for queue in sorted(queued.keys() | running.keys())
        ],
        "workers": [{"hostname": name, "running": count} for name, count in sorted(workers.items())],
    }
