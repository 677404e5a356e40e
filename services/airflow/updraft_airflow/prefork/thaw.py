"""Turns a fork of the parent into a service of its own environment.

Most of Airflow asks its configuration each time. What was computed at import is listed here and computed anew; the
tests fork with a different value for everything that may differ and look for the parent's in the result.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from updraft_airflow.prefork import wire

if TYPE_CHECKING:
    from updraft_airflow.prefork.serve import Forked

# Copied by `from … import …` into modules all over Airflow.
_COPIED = (
    "AIRFLOW_CONFIG",
    "AIRFLOW_HOME",
    "DAGS_FOLDER",
    "PLUGINS_FOLDER",
    "SQL_ALCHEMY_CONN",
    "SQL_ALCHEMY_CONN_ASYNC",
)
# They read the log folders when they are imported.
_READ_AT_IMPORT = ("airflow.config_templates.airflow_local_settings", "updraft_airflow.logs.config")


@dataclass(frozen=True)
class Constants:
    """What module-level names of Airflow hold."""

    values: dict[str, Any]

    @classmethod
    def now(cls) -> Constants:
        from airflow import configuration, settings

        holders = (settings, configuration)
        return cls({name: next((vars(h)[name] for h in holders if name in vars(h)), None) for name in _COPIED})


def run(forked: Forked, parent: Constants) -> int:
    """Never returns into the parent's code; the return value is the exit code."""
    try:
        request = forked.read()
        _become_a_process(request, keep=forked.connection.fileno())
    except (wire.BadRequest, OSError) as problem:
        forked.refuse(problem)
        return 1
    forked.accept()
    _reconfigure(parent)
    _rename(request.argv)
    from updraft_airflow import dag_processor

    if tuple(request.argv[1:]) == dag_processor.ARGUMENTS:
        dag_processor.main()
        return 0
    from airflow.__main__ import main

    main()
    return 0


def _become_a_process(request: wire.Fork, keep: int) -> None:
    os.setsid()
    os.chdir(request.cwd)
    _redirect(request.output, keep)
    os.environ.clear()
    os.environ.update(request.env)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tempfile.tempdir = None
    for name in ("multiprocessing.process", "billiard.process"):
        if name in sys.modules:
            vars(sys.modules[name])["ORIGINAL_DIR"] = request.cwd


def _redirect(output: str, keep: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:  # noqa: PLR2004
            try:
                os.close(int(name))
            except OSError:
                # The listing's own.
                continue


def _reconfigure(parent: Constants) -> None:
    from airflow import configuration, settings
    from airflow.configuration import conf

    home = configuration.get_airflow_home()
    configuration.AIRFLOW_HOME = home
    configuration.AIRFLOW_CONFIG = configuration.get_airflow_config(home)
    vars(settings)["AIRFLOW_HOME"] = home
    settings.configure_vars()
    _replace_copies(parent, Constants.now())
    _replace_paths(parent)

    settings.dispose_orm(do_log=False)
    settings.configure_orm()
    _configure_logging()
    conf.mask_secrets()
    _configure_bundles()
    _configure_celery()
    _configure_apps()


def _replace_copies(parent: Constants, own: Constants) -> None:
    for module in list(sys.modules.values()):
        # Packages put anything there.
        names = getattr(module, "__dict__", {})
        for name, old in parent.values.items():
            if name in names and names[name] == old:
                setattr(module, name, own.values[name])


def _replace_paths(parent: Constants) -> None:
    """Airflow puts its home's `config` and `plugins` on sys.path."""
    from airflow import settings

    stale = {str(Path(parent.values["AIRFLOW_HOME"]) / "config"), parent.values["PLUGINS_FOLDER"]}
    sys.path[:] = [entry for entry in sys.path if entry not in stale]
    settings.prepare_syspath_for_config_and_plugins()


def _configure_logging() -> None:
    from airflow import logging_config

    for name in _READ_AT_IMPORT:
        sys.modules.pop(name, None)
    active = getattr(logging_config, "_ActiveLoggingConfig", None)
    if active is not None:
        active.logging_config_loaded = False
    logging_config.configure_logging()


def _configure_bundles() -> None:
    from airflow.dag_processing.bundles import base

    base.STALE_BUNDLE_TRACKING_FOLDER = base.get_bundle_storage_root_path() / "_tracking"


def _configure_celery() -> None:
    """The Celery app of the module keeps the dictionary it was made with."""
    from airflow.providers.celery.executors import celery_executor_utils, default_celery
    from airflow.providers.common.compat.sdk import conf
    from celery.signals import worker_ready

    from updraft_airflow.worker import CONSUMING

    default_celery.DEFAULT_CELERY_CONFIG.clear()
    default_celery.DEFAULT_CELERY_CONFIG.update(default_celery.get_default_celery_config(conf))
    default_celery.DEFAULT_CELERY_CONFIG.update(CONSUMING)
    if celery_executor_utils.app.configured:
        raise RuntimeError("Celery's configuration was read in the parent")
    # It unfreezes what the parent froze, and the next collection then copies every shared page.
    unfreeze = getattr(celery_executor_utils, "on_celery_worker_ready", None)
    if unfreeze is not None:
        worker_ready.disconnect(unfreeze)


def _configure_apps() -> None:
    from airflow.api_fastapi import app as apps
    from airflow.api_fastapi.auth.tokens import get_signing_key
    from airflow.configuration import conf

    if os.environ.get("AIRFLOW__API__SECRET_KEY"):
        app = apps.cached_app(apps="all")
        app.state.secret_key = get_signing_key("api", "secret_key")
    plugins = Path(conf.get("core", "plugins_folder"))
    if plugins.is_dir() and any(plugins.iterdir()):
        # They add routes and pages: the app is built again, with them.
        apps.purge_cached_app()


def _rename(argv: list[str]) -> None:
    """What `ps` shows. The parent's own command line holds no secret, nor does any service's."""
    from setproctitle import setproctitle

    sys.argv = list(argv)
    setproctitle(" ".join(argv))
