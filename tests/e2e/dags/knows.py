"""Says what the cluster's settings gave it, and prints what nobody may read."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timezone

from airflow.sdk import Connection, Variable, dag, task

print("parsed with", os.environ.get("WAREHOUSE_TOKEN"))


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def knows() -> None:
    @task
    def tell() -> dict[str, str]:
        warehouse, token = Connection.get("warehouse"), os.environ["WAREHOUSE_TOKEN"]
        print("printed", token, os.environ["AIRFLOW_CONN_WAREHOUSE"], warehouse.password, Variable.get("limit_of"))
        return {
            "region": os.environ["REGION"],
            "host": str(warehouse.host),
            "lengths": f"{len(token)} {len(warehouse.password or '')} {len(Variable.get('limit_of'))}",
            "tool": subprocess.run(["our-tool"], capture_output=True, text=True, check=True).stdout.strip(),
        }

    tell()


knows()
