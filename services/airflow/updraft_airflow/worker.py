"""A worker's consumer, for a broker that goes away while tasks run.

It still runs what it had begun, so Celery has it fetch no more than it has slots left. That grows again only with what
it is given later and has done: a worker of ten slots uses one when its ten tasks have ended, and all of them after as
long as four more tasks take. Here a slot is free as soon as the task in it has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from celery.concurrency.asynpool import AsynPool
from celery.worker.consumer import Consumer
from celery.worker.state import active_requests

if TYPE_CHECKING:
    from celery.worker.request import Request

# What Celery is told of it; here and in no runtime's settings, since those may be newer than this package.
CONSUMING = {
    "worker_consumer": "updraft_airflow.worker:SlotConsumer",
    "worker_enable_prefetch_count_reduction": False,
}
# Pause (seconds) between looks for tasks that have ended.
_LOOK = 1.0


class SlotConsumer(Consumer):
    """Celery's `worker_consumer` in every Updraft cluster."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What ran when the connection was lost, and still does. The broker gives it anew; nobody can acknowledge it.
        self._outlasting: WeakSet[Request] = WeakSet()
        self._looks: Any = None

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        super().on_connection_error_after_connected(exc)
        self._outlasting = WeakSet(active_requests)
        self.initial_prefetch_count = self._free()
        if self._looks is None:
            self._looks = self.timer.call_repeatedly(_LOOK, self._let_in)

    def on_close(self) -> None:
        """Celery forgets which of its processes run something, and would give them more while others idle."""
        super().on_close()
        processes = getattr(self.pool, "_pool", None)
        if isinstance(processes, AsynPool):
            begun = (job for job in processes._cache.values() if job._accepted and job._write_to)
            processes._busy_workers.update(job._write_to.inqW_fd for job in begun)

    def _let_in(self) -> None:
        self._outlasting &= active_requests
        freed = self._free() - self.initial_prefetch_count
        if freed > 0:
            self.initial_prefetch_count += freed
            # None while there is no connection: the next one begins with the count above.
            if self.qos is not None:
                self.qos.increment_eventually(freed)
        if not self._outlasting:
            self._looks.cancel()
            self._looks = None

    def _free(self) -> int:
        """At least one: none would mean that all are wanted."""
        taken: int = len(self._outlasting) * self.prefetch_multiplier
        slots: int = self.max_prefetch_count
        return max(1, slots - taken)
