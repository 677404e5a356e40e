"""Uses a macro of a plugin that comes with the DAGs."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def own_macro() -> None:
    @task
    def say(word: str) -> str:
        return word

    say("{{ macros.own_page.greeting() }}")


own_macro()
