"""API tokens on Updraft's REST API and, through the edge, on Airflow's: a token and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from airflow_client.client import ApiClient, Configuration
from airflow_client.client.api.dag_api import DAGApi
from airflow_client.client.api.variable_api import VariableApi
from airflow_client.client.exceptions import ForbiddenException, UnauthorizedException
from airflow_client.client.models.dag_patch_body import DAGPatchBody
from harness.waiting import wait_for
from harness.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.installation import Installation
    from harness.rest import Rest

WITHIN = 60.0


@pytest.fixture
def make_token(rest: Rest) -> Iterator[Callable[..., dict[str, Any]]]:
    """Makes tokens and revokes what is left of them."""
    made = []

    def make(role: str, **more: object) -> dict[str, Any]:
        made.append(rest.post("tokens", {"name": f"e2e {role}", "role": role, **more}))
        return dict(made[-1])

    yield make
    for token in made:
        rest.ask("DELETE", f"tokens/{token['token']['id']}")


@contextmanager
def airflow_client(installation: Installation, cluster: int, text: str) -> Iterator[ApiClient]:
    """Airflow's official client, as its documentation sets it up."""
    configuration = Configuration(host=installation.airflow_url(cluster).rstrip("/"), access_token=text)
    with ApiClient(configuration) as client:
        yield client


def until_it_works(call: Callable[[], Any]) -> Any:
    """Edges hear of a token within seconds."""

    def tried() -> Any:
        try:
            return call()
        except UnauthorizedException:
            return None

    return wait_for("the edge knows the token", tried, WITHIN)


def test_airflows_own_client_needs_a_token_and_nothing_else(
    installation: Installation, demo: dict[str, Any], make_token: Callable[..., dict[str, Any]]
) -> None:
    with airflow_client(installation, demo["id"], make_token("full")["text"]) as client:
        dags = until_it_works(DAGApi(client).get_dags)
        assert "hello_updraft" in {dag.dag_id for dag in dags.dags}
        paused = DAGApi(client).patch_dag("hello_updraft", DAGPatchBody(is_paused=False))
        assert paused.is_paused is False
        assert VariableApi(client).get_variables().total_entries >= 0


def test_a_tokens_role_caps_its_owners(
    installation: Installation, demo: dict[str, Any], make_token: Callable[..., dict[str, Any]]
) -> None:
    with airflow_client(installation, demo["id"], make_token("user")["text"]) as client:
        assert until_it_works(DAGApi(client).get_dags).total_entries > 0
        with pytest.raises(ForbiddenException):
            VariableApi(client).get_variables()


def test_a_service_account_sees_the_cluster_it_was_given(
    installation: Installation, rest: Rest, demo: dict[str, Any], make_token: Callable[..., dict[str, Any]]
) -> None:
    account = rest.post("service-accounts", {"name": "e2e-reader"})
    try:
        text = make_token("full", service_account=account["user"])["text"]
        url = f"{installation.airflow_url(demo['id'])}api/v2/dags"
        asked = {"Authorization": f"Bearer {text}", "Accept": "application/json"}

        def status() -> int:
            return int(Web().get(url, headers=asked, follow=False).status)

        wait_for("the token is known, and may nothing", lambda: status() == 404, WITHIN)
        rest.put(f"clusters/{demo['id']}/grants/{account['user']}", {"role": "user"})
        wait_for("the role is known", lambda: status() == 200, WITHIN)
    finally:
        rest.ask("DELETE", f"service-accounts/{account['user']}")
    wait_for("the account is gone", lambda: status() == 401, WITHIN)


def test_a_revoked_token_is_refused_within_a_minute_and_its_last_use_is_known(
    installation: Installation, rest: Rest, demo: dict[str, Any], make_token: Callable[..., dict[str, Any]]
) -> None:
    made = make_token("user")
    token = made["token"]["id"]

    def used() -> Any:
        return next(one for one in rest.items("tokens") if one["id"] == token)["used_at"]

    with airflow_client(installation, demo["id"], made["text"]) as client:
        until_it_works(DAGApi(client).get_dags)
        wait_for("the edge tells of the use", used, WITHIN)
        assert rest.ask("DELETE", f"tokens/{token}").status == 204

        def refused() -> bool:
            try:
                DAGApi(client).get_dags()
            except UnauthorizedException:
                return True
            return False

        wait_for("the token is refused", refused, WITHIN)

    def told() -> bool:
        lines = rest.items("audit?action=airflow.open&outcome=refused")
        return any(
            line["actor"]["credential"] == f"token:{token}"
            and line["reason"] == "token-revoked"
            and line["target"] == f"cluster:{demo['id']}"
            for line in lines
        )

    wait_for("the edge tells the audit log", told, WITHIN)


def test_signing_in_through_the_browser_and_making_a_token_on_the_command_line(
    installation: Installation, rest: Rest, tmp_path: Path
) -> None:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "UPDRAFT_URL": installation.console}
    environment.pop("UPDRAFT_TOKEN", None)
    login = subprocess.Popen(
        [str(installation.binary), "login"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert login.stderr is not None
    code = next(found.group() for line in login.stderr if (found := re.search(r"[A-Z]{4}-[A-Z]{4}", line)))
    browser = Web()
    browser.set_cookie("localhost", "updraft_session", rest.token or "")
    question = browser.get(f"{installation.console}/device?code={code}")
    assert "updraft on" in question.text, question.text
    answer = browser.ask("POST", f"{installation.console}/device", f"code={code}&decision=approve")
    assert "signed in" in answer.text, answer.text
    out, _ = login.communicate(timeout=60)
    assert login.returncode == 0 and installation.email in out, out
    assert (tmp_path / "updraft" / "credentials.json").stat().st_mode & 0o777 == 0o600

    made = installation.cli("token", "create", "from the e2e test", "--role", "user", home=tmp_path)
    text = made.out.strip()
    assert re.fullmatch(r"upd_t_[0-9A-Za-z]{49}", text), made
    assert installation.cli("status", token=text).code == 0
    assert installation.cli("token", "create", "another", "--role", "user", token=text).code == 4
    assert installation.cli("token", "revoke", "from the e2e test", home=tmp_path).code == 0
    assert installation.cli("cluster", "list", token=text).code == 4
    assert installation.cli("logout", home=tmp_path).code == 0
