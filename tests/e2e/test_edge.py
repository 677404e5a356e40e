"""The edge as a client meets it that is no browser."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.airflow import Airflow
from harness.rest import Rest
from harness.waiting import wait_for
from harness.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from harness.installation import Installation


def test_a_stranger_is_sent_to_sign_in_and_nowhere_else(installation: Installation, demo: dict[str, Any]) -> None:
    url = installation.airflow_url(demo["id"])
    answer = Web().get(f"{url}dags", follow=False)
    assert answer.status in (302, 303)
    assert answer.headers["location"].startswith(f"{installation.console}/handover?")
    api = Web().get(f"{url}api/v2/dags", headers={"Accept": "application/json"}, follow=False)
    assert api.status == 401, api.status


def test_a_code_works_once_and_only_in_the_browser_it_was_made_for(
    installation: Installation, rest: Rest, demo: dict[str, Any]
) -> None:
    mine, theirs = Web(), Web()
    mine.set_cookie("localhost", "updraft_session", rest.token or "")
    first = mine.get(installation.airflow_url(demo["id"]), follow=False)
    code = mine.get(first.headers["location"], follow=False).headers["location"]
    assert urlsplit(code).path == "/_updraft/handover"
    assert theirs.get(code, follow=False).status >= 400, "another browser"
    again = Web(copy.deepcopy(mine.cookies))
    assert mine.get(code, follow=False).status == 303
    assert again.get(code, follow=False).status >= 400, "the same browser, a second time"


def test_a_path_outside_the_prefix_does_not_exist(
    installation: Installation, demo: dict[str, Any], demo_airflow: Airflow
) -> None:
    base = demo_airflow.url.rsplit("/", 1)[0]
    for path in ("/", "/api/v2/dags", "/airflow-webserver-9999/", "/airflow-webserver-1x/"):
        assert demo_airflow.web.get(base + path, follow=False).status in (400, 404), path
    for path in ("/../", "//api/v2/dags", "/%2e%2e/", "/a%2fb", "/./api"):
        assert demo_airflow.web.get(demo_airflow.url + path, follow=False).status in (400, 404), path


def test_the_execution_api_is_for_workers_only(demo_airflow: Airflow) -> None:
    for path in ("execution/health", "execution/task-instances"):
        assert demo_airflow.web.get(f"{demo_airflow.url}/{path}", follow=False).status in (403, 404), path


def test_an_unsafe_request_needs_the_same_origin(demo_airflow: Airflow) -> None:
    url = f"{demo_airflow.url}/api/v2/dags/hello_updraft"
    for origin in ("http://evil.example", "http://127.0.0.2:1", "null"):
        answer = demo_airflow.web.ask("PATCH", url, {"is_paused": True}, {"Origin": origin}, follow=False)
        assert answer.status == 403, f"{origin}: {answer.status}"


def test_identity_from_the_client_is_not_believed(
    demo_airflow: Airflow, installation: Installation, demo: dict[str, Any]
) -> None:
    forged = {
        "Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
        "X-Forwarded-User": "admin",
        "Remote-User": "admin",
    }
    url = f"{installation.airflow_url(demo['id'])}api/v2/variables"
    assert Web().get(url, headers={**forged, "Accept": "application/json"}, follow=False).status == 401


def test_assets_are_compressed_and_kept_for_ever(demo_airflow: Airflow) -> None:
    page = demo_airflow.web.get(f"{demo_airflow.url}/").text
    found = re.search(r'["\'](?:\./|[^"\']*?/)?(static/assets/[^"\']+\.js)["\']', page)
    assert found, page[:2000]
    answer = demo_airflow.web.get(f"{demo_airflow.url}/{found.group(1)}", headers={"Accept-Encoding": "br"})
    assert answer.status == 200 and answer.headers.get("content-encoding") == "br"
    assert "immutable" in answer.headers.get("cache-control", "")


def test_a_user_is_refused_what_an_admin_may(
    installation: Installation, demo: dict[str, Any], demo_airflow: Airflow, person: Callable[..., tuple[str, str]]
) -> None:
    email, password = person("uma", {demo["id"]: "user"})
    uma = Rest.sign_in(installation.console, email, password)
    airflow = Airflow.open(installation.console, installation.airflow_url(demo["id"]), uma.token or "")
    assert airflow.ask("GET", "dags").status == 200
    for path in ("variables", "connections", "pools", "providers", "plugins", "config"):
        assert airflow.ask("GET", path).status == 403, path
        if path != "config":
            assert demo_airflow.ask("GET", path).status == 200, f"{path} for an admin"
    assert airflow.ask("POST", "variables", {"key": "x", "value": "y"}).status == 403
    for verb in ("start", "stop", "restart"):
        assert uma.ask("POST", f"clusters/{demo['id']}/{verb}").status == 403, verb


def test_who_has_no_role_finds_no_cluster(
    installation: Installation, demo: dict[str, Any], person: Callable[..., tuple[str, str]]
) -> None:
    email, password = person("nora", {})
    nora = Rest.sign_in(installation.console, email, password)
    assert nora.items("clusters") == []
    assert nora.ask("GET", f"clusters/{demo['id']}").status == 404
    web = Web()
    web.set_cookie("localhost", "updraft_session", nora.token or "")
    answer = web.get(installation.airflow_url(demo["id"]))
    assert answer.status in (403, 404), answer.status


def test_a_revoked_session_ends_at_the_edge_too(installation: Installation, demo: dict[str, Any]) -> None:
    rest = installation.sign_in()
    airflow = installation.airflow(demo["id"], rest)
    assert airflow.ask("GET", "dags").status == 200
    assert rest.ask("DELETE", "sessions/current").status in (200, 204)
    wait_for("the edge refuses the session", lambda: airflow.ask("GET", "dags").status == 401, 60)

    def told() -> bool:
        lines = installation.sign_in().items("audit?action=airflow.open&outcome=refused")
        return any(line["reason"] == "session-ended" and line["actor"]["kind"] == "person" for line in lines)

    wait_for("the edge tells the audit log", told, 60, every=2)
