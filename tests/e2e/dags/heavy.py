"""Tasks of a queue of their own, and one beside them that names none."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, get_current_context, task


@task(queue="heavy", retries=3, retry_delay=timedelta(seconds=1))
def piece(seconds: int) -> int:
    time.sleep(seconds)
    return seconds


@task
def light() -> None:
    pass


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def heavy() -> None:
    piece(1)
    light()


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def heavy_and_heavier() -> None:
    # The longer one is still at work when the other's worker is needed no more.
    piece.expand(seconds=[1, 10])
    light()


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def heavy_for() -> None:
    @task(queue="heavy", retries=3, retry_delay=timedelta(seconds=1))
    def as_long_as_is_said() -> None:
        time.sleep(get_current_context()["dag_run"].conf["seconds"])

    as_long_as_is_said()


heavy()
heavy_and_heavier()
heavy_for()
