"""The installation's key for what edges tell Airflow takes the place of another, as people and an attacker meet it."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from harness.waiting import wait_for
from harness.web import Web

if TYPE_CHECKING:
    from pathlib import Path

    from harness.airflow import Airflow
    from harness.installation import Installation
    from harness.rest import Rest


def key_of_edges(installation: Installation) -> dict[str, Any]:
    """As the edge keeps it for when control is away: an attacker who read its disk has this."""
    kept: Path = installation.data_dir / "edge" / "snapshot.json"
    return dict(json.loads(kept.read_text())["airflow_key"])


def forged(key: dict[str, Any], cluster: int) -> str:
    now = int(time.time())
    claims = {
        "iss": "updraft-edge", "aud": f"cluster:{cluster}", "sub": "00000000-0000-0000-0000-000000000001",
        "email": "eve@example.com", "name": "Eve", "role": "admin", "iat": now, "exp": now + 60,
    }  # fmt: skip
    # RFC 8410's form with the public key behind, which `cryptography` does not read: the seed lies at a fixed place.
    signer = Ed25519PrivateKey.from_private_bytes(base64.b64decode("".join(key["pem"].splitlines()[1:-1]))[16:48])
    text = ".".join(packed(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "kid": key["kid"]}, claims))
    return f"{text}.{packed(signer.sign(text.encode()))}"


def packed(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def opens(rest: Rest, cluster: dict[str, Any], key: dict[str, Any]) -> bool:
    """Whether Airflow itself, past the edge, believes who holds this key."""
    nodes = rest.items(f"clusters/{cluster['id']}/nodes")
    web = next(node for node in nodes if node["role"] == "web" and node["address"])
    url = f"http://{web['address']}:8080/airflow-webserver-{cluster['id']}/api/v2/dags"
    bearer = {"Authorization": f"Bearer {forged(key, cluster['id'])}", "Accept": "application/json"}
    status = Web().get(url, headers=bearer, follow=False).status
    assert status in (200, 403), status
    return status == 200


@pytest.mark.soak
def test_a_key_that_others_know_is_worth_nothing_some_seconds_later(
    installation: Installation, rest: Rest, demo: dict[str, Any], demo_airflow: Airflow
) -> None:
    stolen = key_of_edges(installation)
    assert opens(rest, demo, stolen)
    done = installation.cli("operator", "rotate-keys", "--compromised", "--data-dir", str(installation.data_dir))
    assert done.code == 0, done.err
    wait_for("the stolen key is refused", lambda: not opens(rest, demo, stolen), 30)
    wait_for("the edge signs with another", lambda: key_of_edges(installation)["kid"] != stolen["kid"], 30)
    wait_for("sessions of before have ended", lambda: demo_airflow.ask("GET", "dags").status == 401, 60)
    assert opens(rest, demo, key_of_edges(installation))
    assert installation.airflow(demo["id"]).ask("GET", "dags").status == 200


@pytest.mark.soak
def test_a_key_turns_without_a_failed_request(
    installation: Installation, rest: Rest, demo: dict[str, Any], demo_airflow: Airflow
) -> None:
    old = key_of_edges(installation)
    statuses: list[int] = []
    stop = threading.Event()

    def browse() -> None:
        while not stop.is_set():
            statuses.append(demo_airflow.ask("GET", "dags").status)

    browser = threading.Thread(target=browse)
    browser.start()
    try:
        done = installation.cli("operator", "rotate-keys", "--data-dir", str(installation.data_dir))
        assert done.code == 0, done.err
        wait_for("the old key is refused", lambda: not opens(rest, demo, old), 30)
    finally:
        stop.set()
        browser.join()
    assert len(statuses) > 100
    assert set(statuses) == {200}, {status: statuses.count(status) for status in statuses}
    fresh = key_of_edges(installation)
    assert fresh["kid"] != old["kid"]
    assert opens(rest, demo, fresh)
