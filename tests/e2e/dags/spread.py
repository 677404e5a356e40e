"""Work for a minute or more: tasks side by side, more than the workers take at once, and a chain beside them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, task

SIDE_BY_SIDE = 4
IN_A_ROW = 3


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def spread() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=1))
    def piece(number: int) -> int:
        time.sleep(20 + number)
        return number

    @task(retries=3, retry_delay=timedelta(seconds=1))
    def link(number: int, before: int) -> int:
        time.sleep(6)
        return number + before

    @task(retries=3, retry_delay=timedelta(seconds=1))
    def total(pieces: list[int], chain: int) -> int:
        return sum(pieces) + chain

    chain = 0
    for number in range(IN_A_ROW):
        chain = link.override(task_id=f"link_{number}")(number, chain)
    total(piece.expand(number=list(range(SIDE_BY_SIDE))), chain)


spread()
