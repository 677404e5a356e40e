"""Runs inside the environment that is being checked, and is believed about that environment only.

    python -m updraft_airflow.environment.probe airflow|plugins|dags ANSWER [DAGS]
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MODULES = (
    "airflow.__main__",
    "airflow.api_fastapi.app",
    "airflow.cli.cli_parser",
    "airflow.dag_processing.manager",
    "airflow.dag_processing.dagbag",
    "airflow.executors.executor_loader",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.providers.celery.cli.celery_command",
    "airflow.sdk.execution_time.supervisor",
    "updraft_airflow.auth",
    "updraft_airflow.bundle",
    "updraft_airflow.executor",
)
_LINES = 4


def main() -> int:
    what, answer, *rest = sys.argv[1:]
    told: dict[str, Any]
    probes: dict[str, Callable[..., dict[str, Any]]]
    probes = {"airflow": _import_airflow, "plugins": _load_plugins, "dags": _import_dags}
    try:
        told = probes[what](*map(Path, rest))
    except BaseException:  # noqa: BLE001
        told = {"error": _last_lines(traceback.format_exc())}
    Path(answer).write_text(json.dumps(told))
    return 0


def _import_airflow() -> dict[str, Any]:
    for name in _MODULES:
        importlib.import_module(name)
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    return {}


def _load_plugins() -> dict[str, Any]:
    """As the api-server and the tasks would, with all that plugins may add."""
    from airflow import plugins_manager
    from airflow.api_fastapi import app as apps
    from airflow.sdk import plugins_manager as task_plugins

    folder = Path(os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"])
    errors = plugins_manager.get_import_errors()
    if not errors:
        task_plugins.integrate_macros_plugins()
        apps.cached_app(apps="all")
    return {"files": {_relative(file, folder): _last_lines(error) for file, error in errors.items()}}


def _import_dags(folder: Path) -> dict[str, Any]:
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.utils.file import list_py_file_paths

    from updraft_airflow.bundle import PLUGINS

    bag = BundleDagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="updraft", collect_dags=False)
    for file in list_py_file_paths(folder):
        if Path(file).relative_to(folder).parts[0] != PLUGINS:
            bag.process_file(str(file))
    errors = {_relative(file, folder): _last_lines(error) for file, error in bag.import_errors.items()}
    return {"files": errors}


def _relative(file: str, folder: Path) -> str:
    path = Path(file)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else file


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LINES:])[-500:]


if __name__ == "__main__":
    sys.exit(main())
