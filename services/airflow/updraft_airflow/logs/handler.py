"""The handler that Airflow asks for a task's log. It reads what was shipped and nothing else: this node's own files are
not the task's, and log servers, which would bind every address, are off.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, cast

from airflow.utils.log.file_task_handler import FileTaskHandler, StructuredLogMessage
from airflow.utils.state import TaskInstanceState

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.log.file_task_handler import (
        LegacyProvidersLogType,
        LogHandlerOutputStream,
        LogMetadata,
    )

_WAITING = frozenset({TaskInstanceState.QUEUED, TaskInstanceState.SCHEDULED})
_UNDER_WAY = frozenset({TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED, TaskInstanceState.RESTARTING})


class ShippedTaskHandler(FileTaskHandler):
    """Airflow's own, which reads through `REMOTE_TASK_LOG`; where nothing has arrived it says why."""

    def _read(
        self,
        ti: TaskInstance | TaskInstanceHistory,
        try_number: int,
        metadata: LogMetadata | None = None,
    ) -> tuple[LogHandlerOutputStream | LegacyProvidersLogType, LogMetadata]:
        first = not metadata or "log_pos" not in metadata
        lines, told = super()._read(ti, try_number, metadata)
        if first and not told.get("log_pos"):
            # It counts as no line: a reader that comes again begins with the first one that arrives.
            why = [StructuredLogMessage(event=_why_there_is_nothing(ti, try_number))]
            return chain(cast("Iterable[StructuredLogMessage]", lines), why), told
        return lines, told

    def _read_from_local(self, worker_log_path: Path) -> tuple[list[str], list[Generator[str, None, None]]]:
        del worker_log_path
        return [], []

    def _read_from_logs_server(
        self,
        ti: TaskInstance | TaskInstanceHistory,
        worker_log_rel_path: str,
    ) -> tuple[list[str], list[Generator[str, None, None]]]:
        del ti, worker_log_rel_path
        return [], []


def _why_there_is_nothing(ti: TaskInstance | TaskInstanceHistory, try_number: int) -> str:
    if getattr(getattr(ti, "task", None), "inherits_from_empty_operator", False) is True:
        return FileTaskHandler.inherits_from_empty_operator_log_message
    if ti.try_number == try_number and ti.state in _WAITING:
        return "This attempt has not begun: it waits for a worker. Its log appears here within seconds of its start."
    if ti.try_number == try_number and ti.state in _UNDER_WAY:
        return (
            "Nothing of this attempt's log has arrived yet. Its node ships it every second or two; should it stay "
            "away, look at the node's services in Updraft."
        )
    where = f" ({ti.hostname})" if ti.hostname else ""
    return (
        f"No line of this attempt is in the log bucket. Either it wrote none, or its node{where} was lost in its first "
        "seconds, or the cluster's log retention has passed."
    )
