"""The first DAG of a new cluster: it runs once by itself, and shows where things are.

Change it, or put your own files beside it in the cluster's bucket: they are on every node within seconds.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import dag, task


@dag(
    schedule="@once",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    is_paused_upon_creation=False,
    tags=["updraft", "sample"],
    doc_md=__doc__,
)
def hello_updraft() -> None:
    @task
    def where_am_i() -> dict[str, str]:
        import platform

        return {"node": platform.node(), "python": platform.python_version()}

    @task
    def greet(place: dict[str, str]) -> str:
        greeting = f"Hello from Python {place['python']} on {place['node']}"
        print(greeting)
        return greeting

    greet(where_am_i())


hello_updraft()
