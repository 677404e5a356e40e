"""Four tasks side by side, as long as whoever triggers it says."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def outlasts() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=1))
    def work(number: int) -> int:
        time.sleep(get_current_context()["dag_run"].conf["seconds"])
        return number

    work.expand(number=list(range(4)))


outlasts()
