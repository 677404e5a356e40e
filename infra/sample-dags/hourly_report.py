"""A scheduled DAG with three tasks side by side and one that gathers them. Switch it on in the DAG list."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, task


@dag(
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    tags=["updraft", "sample"],
    doc_md=__doc__,
)
def hourly_report() -> None:
    @task
    def count(region: str) -> int:
        return len(region) * 100

    @task
    def report(counts: list[int]) -> int:
        total = sum(counts)
        print(f"{total} orders in {len(counts)} regions")
        return total

    report(count.expand(region=["north", "south", "overseas"]))


hourly_report()
