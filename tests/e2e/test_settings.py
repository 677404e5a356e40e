"""A cluster's variables, secrets and bootstrap script, as a real task meets them; and that no log has a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from conftest import DAGS, NEIGHBOUR
from harness.waiting import wait_for
from harness.web import Web
from test_environments import patch, processes

if TYPE_CHECKING:
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest

DAG = "knows"
TOKEN, PASSWORD, LIMIT = "planted-token-5d1e", "planted-password-77ab", "planted-limit-0c42"
PLANTED = (TOKEN, PASSWORD, LIMIT)
SCRIPT = """set -e
echo "bootstrap of $UPDRAFT_NODE_ROLE in $REGION"
test -z "$WAREHOUSE_TOKEN"
mkdir -p bin
printf '#!/bin/sh\\necho made on a %s\\n' "$UPDRAFT_NODE_ROLE" > bin/our-tool
chmod +x bin/our-tool
"""


def test_settings_reach_tasks_and_secrets_reach_no_log(
    installation: Installation, rest: Rest, neighbour: dict[str, Any], neighbour_airflow: Airflow, tmp_path: Path
) -> None:
    installation.add_dag(rest, NEIGHBOUR, f"{DAG}.py", (DAGS / f"{DAG}.py").read_text())
    before = processes(rest, neighbour)
    bad = {"script": {"kind": "inline", "text": "echo looking; echo 'no such mirror' >&2; exit 9"}, "time_limit_s": 20}
    refused = patch(rest, neighbour, {"bootstrap": bad})
    assert refused["failure"]["code"] == "bootstrap_failed", refused
    for said in ("exit code 9", "looking\nno such mirror", "nothing was changed"):
        assert said in refused["failure"]["message"], refused
    assert processes(rest, neighbour) == before

    script, secrets = tmp_path / "boot.sh", tmp_path / "secrets.env"
    script.write_text(f"{SCRIPT}# {installation.last_start}\n")
    secrets.write_text(
        f"WAREHOUSE_TOKEN={TOKEN}\nAIRFLOW_VAR_LIMIT_OF={LIMIT}\n"
        f"AIRFLOW_CONN_WAREHOUSE=postgres://us:{PASSWORD}@warehouse.example.com/x\n"
    )
    # The script that was refused holds everything back, so that nodes change over once.
    held = installation.cli("secrets", "set", NEIGHBOUR, "--env-file", str(secrets), token=rest.token)
    assert held.code == 0, held.err
    asked = ["--env", "REGION=eu-west-1", "--bootstrap", str(script), "--wait"]
    changed = installation.cli("cluster", "update", NEIGHBOUR, *asked, token=rest.token)
    assert changed.code == 0, changed.err

    run = neighbour_airflow.trigger(DAG)
    assert neighbour_airflow.wait_for_run(DAG, run, 120) == "success"
    assert neighbour_airflow.result(DAG, run, "tell") == {
        "region": "eu-west-1",
        "host": "warehouse.example.com",
        "lengths": f"{len(TOKEN)} {len(PASSWORD)} {len(LIMIT)}",
        "tool": "made on a worker",
    }
    path = f"dags/{DAG}/dagRuns/{quote(run, safe='')}/taskInstances/tell/logs/1?full_content=true"

    def printed() -> str:
        text = neighbour_airflow.ask("GET", path).text
        return text if "printed" in text else ""

    told = wait_for("the task's log", printed)
    assert "printed *** postgres://us:***@warehouse.example.com/x *** ***" in told, told
    shown = installation.cli("logs", NEIGHBOUR, "--service", "bootstrap", "--tail", "100", token=rest.token)
    assert "bootstrap of worker in eu-west-1" in shown.out, shown.err + shown.out
    assert_told_nowhere(installation, rest, neighbour, told + shown.out + changed.out + changed.err)


def assert_told_nowhere(installation: Installation, rest: Rest, cluster: dict[str, Any], told: str) -> None:
    paths = ["", "/secrets", "/operations", "/events", "/nodes", "/services"]
    answers = {path: json.dumps(rest.get(f"clusters/{cluster['id']}{path}")) for path in paths}
    web = Web()
    web.set_cookie("localhost", "updraft_session", rest.token or "")
    console = f"{installation.console}/clusters/{cluster['id']}"
    pages = {page: web.get(console + page).text for page in ("", "/configuration", "/nodes", "/logs", "/activity")}
    assert "AIRFLOW_CONN_WAREHOUSE" in answers["/secrets"] and "AIRFLOW_CONN_WAREHOUSE" in pages["/configuration"]
    places = answers | pages | {"told": told, "audit": json.dumps(rest.get("audit"))}
    logs = [path for path in installation.data_dir.rglob("*.log") if path.is_file()]
    places |= {str(path): path.read_text(errors="replace") for path in [*logs, installation.log]}
    # What was printed while the DAG was parsed, too.
    assert any("parsed with ***" in text for text in places.values())
    assert [place for place, text in places.items() if any(secret in text for secret in PLANTED)] == []
