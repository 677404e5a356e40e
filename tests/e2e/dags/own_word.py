"""Needs a package that only the tenant's own index has: it imports once its cluster has it."""

from __future__ import annotations

from datetime import datetime, timezone

import only_here
from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def own_word() -> None:
    @task
    def say() -> str:
        return str(only_here.WORD)

    say()


own_word()
