"""Celery, for a broker that may go away: it may restart under the scheduler, and it may come back empty.

Airflow's own executor ends the scheduler when the broker does not answer. And it adopts every queued task of a
scheduler that died, then waits for `scheduler.task_queued_timeout` until it doubts that a worker will ever see it:
where the broker went down with the scheduler's node, none will.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.utils.state import TaskInstanceState
from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.models.taskinstance import TaskInstance

# Kombu keeps what a worker has taken but not acknowledged here.
_UNACKNOWLEDGED = "unacked"


class UpdraftCeleryExecutor(CeleryExecutor):
    """Airflow's `core.executor` in every Updraft cluster with a Redis-like broker."""

    def sync(self) -> None:
        """Asks for the states of the tasks; without an answer they are as they were, and asked for in the next loop."""
        try:
            super().sync()
        except self._broker_errors() as problem:
            self.log.warning("The broker does not answer, so no task's state is known now: %s", problem)

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Adopts the tasks of a scheduler that died; those whose message is lost go back to be queued once more.

        To return them would have the same effect, but Airflow would count a try that never began.
        """
        lost = self._lost([ti for ti in tis if ti.state == TaskInstanceState.QUEUED])
        for ti in lost:
            self.log.warning("The broker knows nothing of the queued %s: it is sent again", ti)
            ti.state = TaskInstanceState.SCHEDULED
            ti.external_executor_id = None
        lost_ids = {ti.id for ti in lost}
        adoptable = [ti for ti in tis if ti.id not in lost_ids]
        return super().try_adopt_task_instances(adoptable) if adoptable else []

    def _lost(self, waiting: list[TaskInstance]) -> list[TaskInstance]:
        """Queued tasks that are neither in a queue, nor taken by a worker, nor known to the result backend."""
        if not waiting:
            return []
        known = self._message_ids({ti.queue for ti in waiting if ti.queue})
        return [ti for ti in waiting if ti.external_executor_id not in known and not self._has_state(ti)]

    def _has_state(self, ti: TaskInstance) -> bool:
        task_id = ti.external_executor_id
        return task_id is not None and self.celery_app.backend.get_state(task_id) != "PENDING"

    def _message_ids(self, queues: Iterable[str]) -> set[str]:
        """Celery's task ids of all messages in the broker."""
        found: set[str] = set()
        with self.celery_app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            client = channel.client
            for queue in queues:
                # Kombu has one list per priority.
                for priority in channel.priority_steps:
                    name = channel._q_for_pri(queue, priority)
                    found.update(_task_id(json.loads(message)) for message in client.lrange(name, 0, -1))
            found.update(_task_id(json.loads(taken)[0]) for taken in client.hvals(_UNACKNOWLEDGED))
        return found

    def _broker_errors(self) -> tuple[type[Exception], ...]:
        errors: tuple[type[Exception], ...] = getattr(self.celery_app.backend, "connection_errors", ())
        return (*errors, OperationalError, OSError)


def _task_id(message: dict[str, Any]) -> str:
    return str(message.get("headers", {}).get("id", ""))
