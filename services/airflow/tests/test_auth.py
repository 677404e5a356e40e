"""Who may do what: every route of a real api-server, as nobody, user and admin, and every way to forge a token."""

from __future__ import annotations

import base64
import functools
import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import harness
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from conftest import Cluster

# Answered without anybody signed in, by Airflow's design.
PUBLIC = {
    ("GET", "/api/v2/monitor/health"),
    ("GET", "/api/v2/version"),
    ("GET", "/api/v2/auth/login"),
    ("GET", "/api/v2/auth/logout"),
}
ADMIN_ONLY = re.compile(r"/api/v2/(connections|variables|pools|plugins|providers|config)(/|$)|/ui/connections(/|$)")
# Beyond the Admin pages: what a user is refused, and why it is theirs no more.
ALSO_ADMIN_ONLY = {
    ("DELETE", "/api/v2/dags/{dag_id}"): "wipes a DAG's history",
    ("GET", "/api/v2/eventLogs"): "tells of connections and variables too",
    ("POST", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries"): "data of a run",
    (
        "PATCH",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key:path}",
    ): "data of a run",
    (
        "DELETE",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key:path}",
    ): "data of a run",
    ("GET", "/api/v2/eventLogs/{event_log_id}"): "the first event belongs to no DAG",
    ("PUT", "/api/v2/assets/{asset_id}/state-store/{key:path}"): "data of an asset",
}
# Refused to admins as well: Airflow mints no identity here, there are no teams, no connection is tested in the web node.
NOBODYS = {
    ("POST", "/ui/auth/token"),
    ("GET", "/ui/teams"),
    ("POST", "/api/v2/connections/test"),
    ("POST", "/api/v2/connections/enqueue-test"),
}
BULK: dict[str, Any] = {
    "/api/v2/connections": {"actions": [{"action": "delete", "entities": ["none"], "action_on_non_existence": "skip"}]},
    "/api/v2/variables": {"actions": [{"action": "delete", "entities": ["none"], "action_on_non_existence": "skip"}]},
    "/api/v2/pools": {"actions": [{"action": "delete", "entities": ["none"], "action_on_non_existence": "skip"}]},
}
# As Airflow's own page asks: without a range, a run that has no logical date breaks the answer.
QUERIES = {"/ui/calendar/{dag_id}": "?logical_date_gte=2020-01-01T00:00:00Z&logical_date_lte=2100-01-01T00:00:00Z"}
HARMFUL_TO_OTHER_TESTS = {
    ("DELETE", "/api/v2/dags/{dag_id}"),
    ("PATCH", "/api/v2/dags"),
    ("PATCH", "/api/v2/dags/{dag_id}"),
}


@pytest.fixture(scope="module")
def ids(cluster: Cluster) -> dict[str, str]:
    """Resources that exist: a refusal must be one of authorization, not of a missing thing."""
    assert (
        cluster.call("/api/v2/connections", body={"connection_id": "c1", "conn_type": "http"}, method="POST")[0] == 201
    )
    assert cluster.call("/api/v2/variables", body={"key": "v1", "value": "hidden-value"}, method="POST")[0] == 201
    assert cluster.call("/api/v2/pools", body={"name": "p1", "slots": 1}, method="POST")[0] == 201
    code, text = cluster.call("/api/v2/dags/demo/dagRuns", "admin", "POST", {"logical_date": None})
    assert code == 200, text
    run = json.loads(text)["dag_run_id"]

    def ended() -> bool:
        return bool(json.loads(cluster.call(f"/api/v2/dags/demo/dagRuns/{run}")[1])["state"] == "success")

    harness.wait_for("the run to succeed", ended)
    return {
        "dag_id": "demo", "dag_run_id": run, "run_id": run, "task_id": "hello", "xcom_key": "return_value", "map_index": "-1",
        "try_number": "1", "task_try_number": "1", "connection_id": "c1", "variable_key": "v1", "pool_name": "p1",
    }  # fmt: skip


ROUTES = """
import json
from fastapi.routing import APIRoute
from airflow.api_fastapi.core_api.routes.public import public_router
from airflow.api_fastapi.core_api.routes.ui import ui_router
found = [(m, r.path) for t in (public_router, ui_router) for r in t.routes if isinstance(r, APIRoute) for m in sorted(r.methods)]
print(json.dumps(found))
"""


@functools.cache
def _routes(python: str, home: str) -> list[tuple[str, str]]:
    env = {"AIRFLOW_HOME": home, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([python, "-c", ROUTES], env=env, capture_output=True, text=True, check=True)
    return [(method, path) for method, path in json.loads(done.stdout.splitlines()[-1]) if method != "HEAD"]


def routes(cluster: Cluster) -> list[tuple[str, str]]:
    """Every route of Airflow's REST API and of its pages, from its own routers: a new one can't be forgotten."""
    return _routes(str(cluster.env_dir / "bin/python"), str(cluster.directory))


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(?::path)?\}", lambda match: ids.get(match[1], "1"), path) + QUERIES.get(path, "")


def deletions_last(route: tuple[str, str]) -> bool:
    return route[0] == "DELETE"


def body(method: str, path: str) -> Any:
    return None if method in ("GET", "DELETE") else BULK.get(path, {})


def test_the_routes_include_every_admin_area(cluster: Cluster) -> None:
    found = {match[1] for _, path in routes(cluster) if (match := ADMIN_ONLY.match(path))}
    assert found >= {"connections", "variables", "pools", "plugins", "providers", "config"}
    assert {path.split("/")[1] for _, path in routes(cluster)} == {"api", "ui"}
    assert len(routes(cluster)) > 140


def test_nobody_is_refused_on_every_route(cluster: Cluster, ids: dict[str, str]) -> None:
    answered = {}
    for method, path in routes(cluster):
        code, _ = cluster.call(filled(path, ids), None, method, body(method, path))
        if code != 401 and (method, path) not in PUBLIC:
            answered[method, path] = code
    assert answered == {}


def test_a_user_is_refused_on_every_admin_route(cluster: Cluster, ids: dict[str, str]) -> None:
    answered = {}
    for method, path in routes(cluster):
        if ADMIN_ONLY.match(path) or (method, path) in ALSO_ADMIN_ONLY:
            code, _ = cluster.call(filled(path, ids), "user", method, body(method, path))
            if code != 403:
                answered[method, path] = code
    assert answered == {}


def test_a_user_is_let_in_everywhere_else(cluster: Cluster, ids: dict[str, str]) -> None:
    refused = {}
    for method, path in sorted(routes(cluster), key=deletions_last):
        if ADMIN_ONLY.match(path) or (method, path) in ALSO_ADMIN_ONLY | dict.fromkeys(
            PUBLIC | NOBODYS | HARMFUL_TO_OTHER_TESTS
        ):
            continue
        code, text = cluster.call(filled(path, ids), "user", method, body(method, path))
        if code in (0, 401, 403) or code >= 500:
            refused[method, path] = (code, text[:100])
    assert refused == {}


def test_an_admin_is_let_in_everywhere(cluster: Cluster, ids: dict[str, str]) -> None:
    refused = {}
    for method, path in sorted(routes(cluster), key=deletions_last):
        if (method, path) in PUBLIC | NOBODYS | HARMFUL_TO_OTHER_TESTS:
            continue
        code, text = cluster.call(filled(path, ids), "admin", method, body(method, path))
        if code in (0, 401, 403) or code >= 500:
            refused[method, path] = (code, text[:100])
    assert refused == {}


@pytest.mark.parametrize("area", ["connections", "variables", "pools", "providers", "plugins", "configs"])
def test_the_admin_pages_themselves_are_refused_to_a_user(cluster: Cluster, area: str) -> None:
    for path in (f"/{area}", f"/{area}/", f"/{area}/x"):
        code, text = cluster.call(path, "user")
        assert (code, "This page is for cluster admins" in text) == (403, True)
        for role in ("admin", None):
            code, text = cluster.call(path, role)
            assert (code, '<div id="root"' in text) == (200, True), "a stranger's page sends them to sign in"


def test_menus_follow_the_role(cluster: Cluster) -> None:
    admin = set(json.loads(cluster.call("/ui/auth/menus", "admin")[1])["authorized_menu_items"])
    user = set(json.loads(cluster.call("/ui/auth/menus", "user")[1])["authorized_menu_items"])
    assert admin - user == {"Audit Log", "Config", "Connections", "Plugins", "Pools", "Providers", "Variables"}
    assert user == {"Required Actions", "Assets", "Dags", "Deadlines", "Docs", "Jobs", "XComs"}


def test_the_config_page_holds_no_secret(cluster: Cluster) -> None:
    code, text = cluster.call("/api/v2/config", "admin")
    assert code == 200
    names = ("broker_password", "fernet_key", "jwt_secret", "log_keys_file")
    secrets = [
        "secret-of-database",
        *(cluster.node.variables[name] for name in names if len(cluster.node.variables[name]) > 8),
    ]
    assert not [secret for secret in secrets if secret in text]


def test_a_user_triggers_clears_and_pauses(cluster: Cluster) -> None:
    code, text = cluster.call("/api/v2/dags/demo/dagRuns", "user", "POST", {"logical_date": None})
    assert code == 200
    run = json.loads(text)["dag_run_id"]
    assert cluster.call(f"/api/v2/dags/demo/dagRuns/{run}/clear", "user", "POST", {"dry_run": True})[0] == 200
    assert cluster.call("/api/v2/dags/demo", "user", "PATCH", {"is_paused": False})[0] == 200


def test_the_name_of_the_person_is_shown(cluster: Cluster) -> None:
    assert json.loads(cluster.call("/ui/auth/me", "user")[1]) == {"id": "user-1", "username": "User"}


# === Forged tokens ===


def attempt(cluster: Cluster, token: str) -> int:
    return harness.get(cluster.url + "/ui/auth/me", token)[0]


def unsigned(cluster: Cluster) -> str:
    parts = cluster.edge.token().split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT", "kid": cluster.edge.kid}).encode())
    return f"{header.decode().rstrip('=')}.{parts[1]}."


def symmetric(cluster: Cluster, key: bytes) -> str:
    claims = jwt.decode(cluster.edge.token(), options={"verify_signature": False})
    return jwt.encode(claims, key, algorithm="HS256", headers={"kid": cluster.edge.kid})


def test_the_edges_token_is_believed(cluster: Cluster) -> None:
    assert attempt(cluster, cluster.edge.token()) == 200


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "cluster:78"}, 403),
        ({"aud": ["cluster:77", "cluster:78"]}, 403),
        ({"aud": None}, 403),
        ({"iss": "updraft"}, 403),
        ({"iss": None}, 403),
        ({"exp": 1}, 401),
        ({"exp": None}, 403),
        ({"iat": None}, 403),
        ({"iat": 4_000_000_000, "exp": 4_000_000_060}, 403),
        ({"exp": 4_000_000_000}, 403),
        ({"sub": ""}, 403),
        ({"sub": None}, 403),
        ({"role": None}, 403),
        ({"role": "Admin"}, 403),
        ({"role": ["admin"]}, 403),
    ],
)
def test_a_token_with_other_claims_is_refused(cluster: Cluster, claims: dict[str, Any], code: int) -> None:
    assert attempt(cluster, cluster.edge.token("admin", changed=claims)) == code


def test_a_token_signed_otherwise_is_refused(cluster: Cluster) -> None:
    jwks = (cluster.directory / "jwks.json").read_bytes()
    public = base64.urlsafe_b64decode(json.loads(jwks)["keys"][0]["x"] + "==")
    stranger = harness.Edge("cluster:77", kid=cluster.edge.kid)
    secret = cluster.node.variables["jwt_secret"].encode()
    forged = {
        "unsigned": unsigned(cluster),
        "HS256 with the public key": symmetric(cluster, public),
        "HS256 with Airflow's own secret": symmetric(cluster, secret),
        "another key of the same id": stranger.token(),
        "unknown key id": cluster.edge.token(headers={"kid": "edge-2"}),
        "no key id": jwt.encode(
            jwt.decode(cluster.edge.token(), options={"verify_signature": False}), cluster.edge.key, algorithm="EdDSA"
        ),
        "key in the header": stranger.token(headers={"jwk": json.loads(jwks)["keys"][0], "kid": "own"}),
        "no token": "admin",
        "tampered": cluster.edge.token("user")[:-8] + "AAAAAAAA",
    }
    assert {name: attempt(cluster, token) for name, token in forged.items()} == dict.fromkeys(forged, 403)


def test_a_token_airflow_could_mint_is_refused(cluster: Cluster) -> None:
    """Signed with api_auth.jwt_secret, as Airflow's own auth managers do it."""
    now = int(time.time())
    claims = {"sub": "admin-1", "role": "admin", "aud": "apache-airflow", "iat": now, "nbf": now, "exp": now + 60}
    assert attempt(cluster, jwt.encode(claims, cluster.node.variables["jwt_secret"], algorithm="HS512")) == 403


def test_a_persons_token_opens_no_execution_api(cluster: Cluster) -> None:
    token = cluster.edge.token("admin")
    code, _ = harness.get(cluster.url + "/execution/connections/c1", token)
    assert code in (401, 403)


def test_a_rotated_key_is_taken_at_once(cluster: Cluster) -> None:
    keys = cluster.directory / "jwks.json"
    fresh = harness.Edge("cluster:77", key=Ed25519PrivateKey.generate(), kid="edge-next")
    assert attempt(cluster, fresh.token()) == 403
    fresh.write_keys(keys)
    try:
        assert attempt(cluster, fresh.token()) == 200
        assert attempt(cluster, cluster.edge.token()) == 403, "the old key is gone with the old file"
        keys.write_text("half a fi")
        assert attempt(cluster, fresh.token()) == 200, "an unreadable file changes nothing"
    finally:
        cluster.edge.write_keys(keys)


def test_while_keys_turn_a_token_of_either_is_accepted_and_of_a_forgotten_one_refused(cluster: Cluster) -> None:
    keys = cluster.directory / "jwks.json"
    old, fresh = cluster.edge, harness.Edge("cluster:77", kid="airflow-2")
    try:
        old.write_keys(keys, fresh)
        assert [attempt(cluster, edge.token()) for edge in (old, fresh)] == [200, 200]
        fresh.write_keys(keys)
        assert [attempt(cluster, edge.token()) for edge in (old, fresh)] == [403, 200]
    finally:
        old.write_keys(keys)


# === Coming and going ===


def location(cluster: Cluster, path: str, token: str | None) -> tuple[int, str, str]:
    import http.client
    import urllib.parse

    url = urllib.parse.urlsplit(cluster.url + path)
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    connection.request("GET", f"{url.path}?{url.query}", headers={"Authorization": f"Bearer {token}"} if token else {})
    response = connection.getresponse()
    return response.status, response.getheader("Location") or "", response.getheader("Set-Cookie") or ""


def test_a_stranger_is_sent_to_the_edge_to_sign_in(cluster: Cluster) -> None:
    code, target, cookie = location(cluster, f"/api/v2/auth/login?next={cluster.url}/dags/demo", None)
    assert (code, cookie) == (307, "")
    assert target.startswith("/_updraft/login?next=http%3A%2F%2F")


def test_no_foreign_page_is_returned_to(cluster: Cluster) -> None:
    assert location(cluster, "/api/v2/auth/login?next=https://evil.example/", None)[0] == 400


def test_logging_out_ends_at_the_edge_and_sets_no_cookie(cluster: Cluster) -> None:
    assert location(cluster, "/api/v2/auth/logout", cluster.edge.token()) == (307, "/_updraft/logout", "")


def test_no_request_is_answered_with_a_cookie(cluster: Cluster) -> None:
    for path in ("/", "/ui/config", "/ui/auth/me", "/api/v2/dags"):
        assert location(cluster, path, cluster.edge.token())[2] == ""
