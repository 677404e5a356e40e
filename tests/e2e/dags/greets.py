"""Says what a package of the cluster's own says; imports without it too."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timezone

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def greets() -> None:
    @task
    def greet() -> str:
        import greeter

        return f"{greeter.WORD} {sqlite3.sqlite_version_info[0]}"

    greet()


greets()
