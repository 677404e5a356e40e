"""Celery, with one difference: a task whose message the broker has lost is sent again at once.

Airflow's own executor adopts every queued task of a scheduler that died, and waits for `scheduler.task_queued_timeout`
until it doubts that a worker will ever see it. Where the broker went down with the scheduler's node, nobody will.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.utils.state import TaskInstanceState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.models.taskinstance import TaskInstance

# Kombu keeps what a worker has taken but not acknowledged here.
_UNACKNOWLEDGED = "unacked"


class UpdraftCeleryExecutor(CeleryExecutor):
    """Airflow's `core.executor` in every Updraft cluster with a Redis-like broker."""

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Those not adopted are returned, and the scheduler queues them anew."""
        waiting = [ti for ti in tis if ti.state == TaskInstanceState.QUEUED and ti.external_executor_id]
        lost = self._lost(waiting)
        if lost:
            self.log.warning("The broker lost the messages of %d queued tasks: they are sent again", len(lost))
        lost_ids = {id(ti) for ti in lost}
        adoptable = [ti for ti in tis if id(ti) not in lost_ids]
        refused = list(super().try_adopt_task_instances(adoptable)) if adoptable else []
        return [*refused, *lost]

    def _lost(self, waiting: list[TaskInstance]) -> list[TaskInstance]:
        """Queued tasks that are neither in a queue, nor taken by a worker, nor known to the result backend."""
        if not waiting:
            return []
        known = self._message_ids({ti.queue for ti in waiting if ti.queue})
        missing = [ti for ti in waiting if ti.external_executor_id not in known]
        backend = self.celery_app.backend
        return [ti for ti in missing if backend.get_state(ti.external_executor_id) == "PENDING"]

    def _message_ids(self, queues: Iterable[str]) -> set[str]:
        """Celery's task ids of all messages in the broker."""
        found: set[str] = set()
        with self.celery_app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            client = channel.client
            for queue in queues:
                # Kombu has one list per priority.
                names = [channel._q_for_pri(queue, priority) for priority in channel.priority_steps]
                for name in names:
                    found.update(_task_id(message) for message in client.lrange(name, 0, -1))
            found.update(_task_id(json.loads(taken)[0]) for taken in client.hvals(_UNACKNOWLEDGED))
        return found


def _task_id(message: Any) -> str:
    body = json.loads(message) if isinstance(message, (str, bytes)) else message
    return str(body.get("headers", {}).get("id", ""))
