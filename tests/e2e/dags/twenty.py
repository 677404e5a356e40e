"""Twenty tasks at once, each long enough that all run together: something to take nodes away under."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, max_active_tasks=20)
def twenty() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=1))
    def work(number: int) -> int:
        time.sleep(60)
        return number

    work.expand(number=list(range(20)))


twenty()
