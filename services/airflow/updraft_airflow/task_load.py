"""How many tasks there are, noted for the agent: by it, queues get the workers that they need.

And since when nothing runs, and when the next run is due: by these, clusters stop that nobody needs.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

_log = logging.getLogger(__name__)

# A task in one of these has a worker, or is about to leave it.
_ON_A_WORKER = (TaskInstanceState.RUNNING, TaskInstanceState.RESTARTING)

Row = tuple[str | None, str | None, str | None, int]


class Quiet:
    """Since when nothing runs: at the earliest, since this process looks."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._newest: int | None = None

    def look(self, *, active: int, newest: int | None, now: datetime) -> datetime | None:
        """None while something runs. `newest` run: one that came and went between two looks counts too."""
        if active or self._since is None or newest != self._newest:
            self._since = now
        self._newest = newest
        return None if active else self._since


def note_load(file: str | None, quiet: Quiet) -> None:
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
            note = load(rows) | _idleness(session, quiet, tasks=sum(row[3] for row in rows))
        fresh.write_text(json.dumps(note))
        fresh.replace(path)
    except (SQLAlchemyError, OSError) as problem:
        _log.warning("How many tasks there are is not known now: %s", problem)


def _idleness(session: Session, quiet: Quiet, *, tasks: int) -> dict[str, str]:
    """What is not there is not so: nothing is quiet, no run is due."""
    live = (DagRunState.QUEUED, DagRunState.RUNNING)
    # Of other DAGs the scheduler begins neither runs nor further tasks; those that workers have count by themselves.
    goes_on = (DagModel.is_paused.is_(False), DagModel.is_stale.is_(False))
    going = (
        select(func.count())
        .select_from(DagRun)
        .join(DagModel, DagModel.dag_id == DagRun.dag_id)
        .where(DagRun.state.in_(live), *goes_on)
    )
    runs = session.scalar(going) or 0
    # Deferred tasks, and what waits for assets from outside.
    waits = session.scalar(select(func.count()).select_from(Trigger)) or 0
    newest = session.scalar(select(func.max(DagRun.id)))
    scheduled = select(func.min(DagModel.next_dagrun_create_after)).where(*goes_on)
    times = {
        "quiet_since": quiet.look(active=tasks + runs + waits, newest=newest, now=datetime.now(UTC)),
        "next_run_at": session.scalar(scheduled),
    }
    return {name: at.isoformat(timespec="seconds") for name, at in times.items() if at is not None}


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
