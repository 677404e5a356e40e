"""Five tasks in a row, each a few seconds long: something to kill parts of Airflow under."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def steady() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=1))
    def step(number: int, before: int) -> int:
        time.sleep(4)
        return number + before

    total = 0
    for number in range(5):
        total = step.override(task_id=f"step_{number}")(number, total)


steady()
