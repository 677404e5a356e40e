"""Imports what the services will need, and builds what does not depend on a service.

It runs in the parent, which knows no secret. It must stay without threads: a fork carries only one.
"""

from __future__ import annotations

import importlib
import os
import sys

_MODULES = (
    "airflow.__main__",
    "airflow.cli.commands.api_server_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.providers.celery.cli.celery_command",
    "airflow.providers.celery.cli.definition",
    "airflow.jobs.dag_processor_job_runner",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.dag_processing.manager",
    "airflow.dag_processing.processor",
    "airflow.dag_processing.dagbag",
    "airflow.executors.executor_loader",
    "airflow.executors.workloads",
    "airflow.utils.scheduler_health",
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.core_api.app",
    "airflow.api_fastapi.core_api.routes.public",
    "airflow.api_fastapi.core_api.routes.ui",
    "airflow.api_fastapi.execution_api.routes",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.python",
    "airflow.providers.celery.executors.celery_executor",
    "airflow.providers.celery.executors.celery_executor_utils",
    "asyncpg",
    "celery.app.control",
    "celery.app.events",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.fixups.django",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "jinja2.ext",
    "kombu.transport.redis",
    "psycopg",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
    "updraft_airflow.auth",
    "updraft_airflow.bundle",
    "updraft_airflow.dag_processor",
    "updraft_airflow.executor",
    "updraft_airflow.logs.config",
    "updraft_airflow.logs.handler",
    "updraft_airflow.node",
    "updraft_airflow.worker",
)


# Their cached answers depend on the node: its plugins, its keys.
_FORGETFUL = (
    "airflow.api_fastapi.core_api.datamodels.dags",
    "airflow.listeners.listener",
    "airflow.models.crypto",
    "airflow.plugins_manager",
    "airflow.sdk.crypto",
    "airflow.sdk.listener",
    "airflow.sdk.plugins_manager",
    "airflow.utils.log.log_reader",
    "airflow.utils.net",
)


class NotSingleThreaded(Exception):
    """Some import started a thread: nothing can be forked from this process."""


def import_everything() -> None:
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as problem:
            # Another release may have moved it: slower, not wrong.
            sys.stderr.write(f"prefork: {name} is not imported in advance: {problem}\n")
    _load_providers()
    _build_apps()
    _forget_answers()
    ensure_single_threaded()


def ensure_single_threaded() -> None:
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise NotSingleThreaded(f"the parent has {threads} threads; start the services as plain processes")


def _load_providers() -> None:
    from airflow.cli.cli_parser import get_parser
    from airflow.providers_manager import ProvidersManager
    from sqlalchemy.orm import configure_mappers

    ProvidersManager().initialize_providers_configuration()
    configure_mappers()
    get_parser()


def _build_apps() -> None:
    """The api-server's app with the execution API's versioned routes: half of its start, and the same for all nodes."""
    from airflow.api_fastapi import app as apps
    from cadwyn import Cadwyn
    from starlette.routing import Mount

    app = apps.cached_app(apps="all")
    for route in app.routes:
        if isinstance(route, Mount) and isinstance(route.app, Cadwyn):
            # Cadwyn does this at the first request, on the event loop.
            route.app._cadwyn_initialize()


def _forget_answers() -> None:
    for name in _FORGETFUL:
        for function in vars(sys.modules.get(name, sys)).values():
            forget = getattr(function, "cache_clear", None)
            if forget is not None:
                forget()
