"""Signing in through an organisation's own identity provider: a real one, a real browser, a real Airflow."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from harness.identity_provider import CLIENT, SECRET, OidcProvider, SamlProvider
from harness.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.installation import Installation
    from harness.rest import Rest

DOMAIN = "corp.example"
SAML_DOMAIN = "saml.example"
ADA = {"password": "any", "mail": f"ada@{SAML_DOMAIN}", "displayName": "Ada", "groups": ["data"]}
PEOPLE = {
    "grace": {"name": "Grace", "email": f"grace@{DOMAIN}", "email_verified": True, "groups": ["data"]},
}


@pytest.fixture(scope="module")
def idp(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    provider = OidcProvider(tmp_path_factory.mktemp("idp"), installation.idp_port)
    provider.state = {"clients": [], "users": PEOPLE}
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


@pytest.fixture(scope="module")
def connected(installation: Installation, idp: OidcProvider) -> Iterator[dict[str, Any]]:
    """The identity provider is connected, tested and enabled, and its domain is sent there."""
    rest = installation.rest()
    config = {"kind": "oidc", "issuer": idp.issuer, "client_id": CLIENT, "groups_claim": "groups", "scopes": ["groups"]}
    made = rest.post("identity-providers", {"name": "Corp", "config": config, "secret": SECRET})
    idp.know(made["addresses"])
    tested = rest.post(f"identity-providers/{made['id']}/test")
    assert tested["last_test"]["passed"], tested["last_test"]
    rest.post(f"identity-providers/{made['id']}/enable")
    prove(installation, DOMAIN, made["id"])
    yield made
    rest.ask("DELETE", f"domains/{DOMAIN}")
    rest.ask("DELETE", f"identity-providers/{made['id']}")


@pytest.fixture(scope="module")
def saml_idp(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamlProvider]:
    provider = SamlProvider(tmp_path_factory.mktemp("saml"), installation.saml_port)
    provider.start({"ada": ADA})
    try:
        yield provider
    finally:
        provider.stop()


@pytest.fixture(scope="module")
def saml_connected(installation: Installation, saml_idp: SamlProvider) -> Iterator[dict[str, Any]]:
    """The same by SAML; both keys are published, and only the first is on file."""
    rest = installation.rest()
    metadata = Web().get(f"{saml_idp.address}/metadata").text
    made = rest.post("identity-providers", {"name": "Corp by SAML", "metadata": metadata})
    config = {**made["config"], "certificates": [saml_idp.certificate("first")]}
    rest.ask("PATCH", f"identity-providers/{made['id']}", {"config": config})
    saml_idp.know(Web().get(made["addresses"]["entity_id"]).body)
    tested = rest.post(f"identity-providers/{made['id']}/test")
    assert tested["last_test"]["passed"], tested["last_test"]
    rest.post(f"identity-providers/{made['id']}/enable")
    prove(installation, SAML_DOMAIN, made["id"])
    yield made
    rest.ask("DELETE", f"domains/{SAML_DOMAIN}")
    rest.ask("DELETE", f"identity-providers/{made['id']}")


@pytest.fixture(scope="module")
def rules(installation: Installation) -> Iterator[None]:
    """What the directory's groups may do."""
    rest = installation.rest()
    made = [
        rest.post("access-rules", {"who": {"group": group}, "role": role, "target": "every_cluster"})
        for group, role in (("data", "user"), ("platform", "admin"))
    ]
    yield
    for rule in made:
        rest.ask("DELETE", f"access-rules/{rule['id']}")


def test_journeys(
    journey: Callable[..., None],
    installation: Installation,
    demo: dict[str, Any],
    idp: OidcProvider,
    connected: dict[str, Any],
    rules: None,
) -> None:
    cluster = {"id": demo["id"], "name": demo["name"], "url": installation.airflow_url(demo["id"])}
    facts = {"issuer": idp.issuer, "state": str(idp.file), "email": f"grace@{DOMAIN}", "login": "grace"}
    journey("sso.test.mjs", demo=cluster, idp=facts, provider=connected["id"])


def test_saml_journeys(
    journey: Callable[..., None],
    installation: Installation,
    demo: dict[str, Any],
    saml_idp: SamlProvider,
    saml_connected: dict[str, Any],
    rules: None,
) -> None:
    assert saml_idp.process is not None
    cluster = {"id": demo["id"], "name": demo["name"], "url": installation.airflow_url(demo["id"])}
    facts = {
        "address": saml_idp.address,
        "settings": str(saml_idp.file),
        "pid": saml_idp.process.pid,
        "certificates": {key: saml_idp.certificate(key) for key in ("first", "second")},
        "sp": saml_connected["addresses"]["entity_id"],
        "email": ADA["mail"],
        "login": "ada",
        "password": ADA["password"],
    }
    known = {"token": installation.rest().token, "database": database(installation)}
    journey("saml.test.mjs", demo=cluster, idp=facts, provider=saml_connected["id"], **known)


def test_every_sign_in_is_in_the_audit_log(
    rest: Rest, connected: dict[str, Any], saml_connected: dict[str, Any]
) -> None:
    """After the journeys: who came, who was refused and why."""
    lines = rest.items("audit?limit=200")
    told = {(line["action"], line["outcome"], line.get("reason")) for line in lines}
    for action in ("sign_in.oidc", "sign_in.saml"):
        assert (action, "done", None) in told, told
        for reason in ("sign_in.replayed", "sign_in.other_browser"):
            assert (action, "refused", reason) in told, f"{action}: {reason} is missing: {told}"
    for reason in ("oidc.slow", "saml.expired", "saml.not_yet_valid", "saml.wrong_signature", "sign_in.expired"):
        assert any(line[2] == reason for line in told), f"{reason} is missing: {told}"


def prove(installation: Installation, domain: str, provider: str) -> None:
    """No DNS of the internet is asked by a test: the proof itself is tried in services/control/tests/rest."""
    installation.rest().post("domains", {"domain": domain, "provider": provider})
    statement = f"update domains set verified_at = now() where domain = '{domain}'"
    command = [*database(installation), "-q", "-c", statement]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def database(installation: Installation) -> list[str]:
    """How `psql` reaches control's database."""
    config = next(installation.data_dir.glob("**/control.json"))
    url = json.loads(config.read_text())["database_url"]
    psql = next(psql for psql in installation.data_dir.glob("**/bin/psql") if executable(psql))
    return [str(psql), url]


def executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)
