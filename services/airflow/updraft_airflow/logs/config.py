"""Airflow's `logging.logging_config_class`: its own configuration, but task logs are read from where agents ship them.

Like the module that it takes over from, it reads the log folder when it is imported: what the pre-imported parent forks
imports both anew.
"""

from __future__ import annotations

from typing import Any

from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG

from updraft_airflow.logs.remote import ShippedTaskLogs

_HANDLERS: dict[str, Any] = DEFAULT_LOGGING_CONFIG["handlers"]

LOGGING_CONFIG: dict[str, Any] = DEFAULT_LOGGING_CONFIG | {
    "handlers": _HANDLERS | {"task": _HANDLERS["task"] | {"class": "updraft_airflow.logs.handler.ShippedTaskHandler"}},
}
# The name is Airflow's.
REMOTE_TASK_LOG = ShippedTaskLogs()
