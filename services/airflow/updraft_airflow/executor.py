"""Celery, for a broker that may go away: it may restart under the scheduler, and it may come back empty.

Airflow's own executor ends the scheduler when the broker does not answer. And it waits for
`scheduler.task_queued_timeout` until it doubts that a worker will ever begin a queued task: where the broker went down
with the scheduler's node none will see it, and where a worker died between taking it and beginning it none will again.
"""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.models.taskinstance import TaskInstance
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from kombu.exceptions import OperationalError
from sqlalchemy import select, update

from updraft_airflow.broker_queues import broker_queues, held_by_workers
from updraft_airflow.task_load import Quiet, note_load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from updraft_airflow.broker_queues import BrokerQueues

# Pause (seconds) between notes of how many tasks there are.
_NOTE = 5.0
# Pause (seconds) between looks for tasks that nobody has.
_LOOK = 10.0


class UpdraftCeleryExecutor(CeleryExecutor):
    """Airflow's `core.executor` in every Updraft cluster."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._looked_at = time.monotonic()
        self._noted_at = -_NOTE
        self._quiet = Quiet()
        # In no queue at the last look.
        self._away: set[str] = set()

    @cached_property
    def _queues(self) -> BrokerQueues:
        return broker_queues(self.celery_app)

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
        sent = {ti.external_executor_id for ti in waiting if ti.external_executor_id}
        known = self._queues.waiting({ti.queue for ti in waiting if ti.queue})
        known |= self._queues.taken(sent - known)
        return [ti for ti in waiting if ti.external_executor_id not in known and not self._has_state(ti)]

    def _has_state(self, ti: TaskInstance) -> bool:
        task_id = ti.external_executor_id
        return task_id is not None and self.celery_app.backend.get_state(task_id) != "PENDING"

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
            away = not_begun.keys() - self._queues.waiting({ti.queue for ti in not_begun.values() if ti.queue})
            suspects = self._away & away
            self._away = away
            for task_id in suspects - held_by_workers(self.celery_app, suspects):
                ti = not_begun[task_id]
                if self._return_to_scheduler(ti.id, task_id, session):
                    self.log.warning("Nobody has %s any more: it is sent again", ti)
                    self.revoke_task(ti=ti)
                    self._queues.forget(task_id)

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

    def _broker_errors(self) -> tuple[type[Exception], ...]:
        errors: tuple[type[Exception], ...] = getattr(self.celery_app.backend, "connection_errors", ())
        return (*errors, *self._queues.errors(), OperationalError, OSError)
