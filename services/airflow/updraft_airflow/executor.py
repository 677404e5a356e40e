"""Celery, for a broker that may go away: it may restart under the scheduler, and it may come back empty.

Airflow's own executor ends the scheduler when the broker does not answer. And it waits for
`scheduler.task_queued_timeout` until it doubts that a worker will ever begin a queued task: where the broker went down
with the scheduler's node none will see it, and where a worker died between taking it and beginning it none will again.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from airflow.models.taskinstance import TaskInstance
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from kombu.exceptions import OperationalError
from sqlalchemy import select, update

from updraft_airflow.task_load import Quiet, note_load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

# Kombu keeps what a worker has taken but not acknowledged here.
_UNACKNOWLEDGED = "unacked"
_UNACKNOWLEDGED_INDEX = "unacked_index"
# Pause (seconds) between notes of how many tasks there are.
_NOTE = 5.0
# Pause (seconds) between looks for tasks that nobody has.
_LOOK = 10.0
# What a worker says of a task that it runs or will run.
_HAS = ("active", "reserved")
# How long workers have to say what they have.
_ANSWER = 3.0


class UpdraftCeleryExecutor(CeleryExecutor):
    """Airflow's `core.executor` in every Updraft cluster with a Redis-like broker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._looked_at = time.monotonic()
        self._noted_at = -_NOTE
        self._quiet = Quiet()
        # In no queue at the last look.
        self._away: set[str] = set()

    def sync(self) -> None:
        """Asks for the states of the tasks; without an answer they are as they were, and asked for in the next loop."""
        if time.monotonic() - self._noted_at > _NOTE:
            self._noted_at = time.monotonic()
            note_load(os.environ.get("UPDRAFT_TASK_LOAD_FILE"), self._quiet)
        try:
            super().sync()
            if time.monotonic() - self._looked_at > _LOOK:
                self._looked_at = time.monotonic()
                self._send_again_what_nobody_has()
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
        return self._in_queues(queues) | self._taken().keys()

    def _in_queues(self, queues: Iterable[str]) -> set[str]:
        """Celery's task ids of the messages that no worker has taken."""
        found: set[str] = set()
        with self.celery_app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            for queue in queues:
                # Kombu has one list per priority.
                for priority in channel.priority_steps:
                    name = channel._q_for_pri(queue, priority)
                    found.update(_task_id(json.loads(message)) for message in channel.client.lrange(name, 0, -1))
        return found

    def _send_again_what_nobody_has(self) -> None:
        """Tasks that are in no queue and not begun at two looks in a row, and that no worker has.

        Their worker died, or lost its connection, or the broker died between giving them away and noting to whom.
        """
        sent = [result.task_id for result in self.workloads.values()]
        with create_session() as session:
            waiting = select(TaskInstance).where(
                TaskInstance.state == TaskInstanceState.QUEUED, TaskInstance.external_executor_id.in_(sent)
            )
            not_begun = {str(ti.external_executor_id): ti for ti in session.scalars(waiting)} if sent else {}
            away = not_begun.keys() - self._in_queues({ti.queue for ti in not_begun.values() if ti.queue})
            suspects = self._away & away
            self._away = away
            for task_id in self._unknown_to_workers(suspects):
                ti = not_begun[task_id]
                if self._return_to_scheduler(ti.id, task_id, session):
                    self.log.warning("Nobody has %s any more: it is sent again", ti)
                    self.revoke_task(ti=ti)
                    self._forget(task_id)

    @staticmethod
    def _return_to_scheduler(ti_id: UUID, task_id: str, session: Session) -> bool:
        """False: it has begun meanwhile, or was queued anew."""
        change = (
            update(TaskInstance)
            .where(
                TaskInstance.id == ti_id,
                TaskInstance.state == TaskInstanceState.QUEUED,
                TaskInstance.external_executor_id == task_id,
            )
            .values(state=TaskInstanceState.SCHEDULED, external_executor_id=None)
            .returning(TaskInstance.id)
            .execution_options(synchronize_session=False)
        )
        return session.scalar(change) is not None

    def _taken(self) -> dict[str, bytes]:
        """Delivery tags of the messages that workers have taken, by Celery's task id."""
        with self.celery_app.connection_for_read() as connection:
            messages = connection.default_channel.client.hgetall(_UNACKNOWLEDGED)
        return {_task_id(json.loads(message)[0]): tag for tag, message in messages.items()}

    def _unknown_to_workers(self, task_ids: set[str]) -> set[str]:
        """What no worker says it has. Should one have been too busy to answer, Airflow lets only one of two begin.

        A worker that lost its connection drops what it had not begun, but remembers it, neither active nor reserved.
        """
        if not task_ids:
            return set()
        answers = self.celery_app.control.inspect(timeout=_ANSWER).query_task(*task_ids) or {}
        states = {task_id: state for tasks in answers.values() for task_id, (state, _) in tasks.items()}
        return {task_id for task_id in task_ids if states.get(task_id) not in _HAS}

    def _forget(self, task_id: str) -> None:
        """A worker that comes back must not find what it once took."""
        tag = self._taken().get(task_id)
        if tag is None:
            return
        with self.celery_app.connection_for_write() as connection:
            client = connection.default_channel.client
            client.hdel(_UNACKNOWLEDGED, tag)
            client.zrem(_UNACKNOWLEDGED_INDEX, tag)

    def _broker_errors(self) -> tuple[type[Exception], ...]:
        errors: tuple[type[Exception], ...] = getattr(self.celery_app.backend, "connection_errors", ())
        return (*errors, OperationalError, OSError)


def _task_id(message: dict[str, Any]) -> str:
    return str(message.get("headers", {}).get("id", ""))
