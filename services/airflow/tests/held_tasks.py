"""Tasks that run until they are let go, and the worker's own configuration: what `celery --app held_tasks` begins."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from uuid import uuid4

from celery import Celery

from updraft_airflow.worker import CONSUMING

app = Celery("held", broker=os.environ["AIRFLOW__CELERY__BROKER_URL"], backend="cache+memory://")
app.conf.update(json.loads(os.environ["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"]))
app.conf.update(CONSUMING)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_ignore_result=True)


def held(directory: str, until: str) -> None:
    running = Path(directory) / "running" / uuid4().hex
    running.touch()
    while not (Path(directory) / until).exists():
        time.sleep(0.05)
    running.unlink()


app.task(held, name="held")
