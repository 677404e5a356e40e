"""One task that writes a numbered line five times a second: something to read, and to lose, while it is written."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import Param, dag, task


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"lines": Param(100, type="integer")},
)
def talks() -> None:
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def talk(params: dict[str, int]) -> None:
        for number in range(params["lines"]):
            print(f"line {number} of {time.time():.3f}")
            time.sleep(0.2)

    talk()


talks()
