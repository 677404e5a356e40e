"""runtime.toml says nothing that Airflow does not know, and hands nobody a secret by accident."""

from __future__ import annotations

import json
import re
from typing import Any

import harness
import pytest

RUNTIME = harness.Runtime()
BROKERS = [RUNTIME, harness.Runtime(broker="rabbitmq")]
VARIABLES = {
    "address", "base_url", "broker_password", "cluster_id", "dags_dir", "dsn", "fernet_key", "jwks_file", "jwt_secret",
    "log_bucket", "log_keys_file", "log_prefix", "log_region", "logs_dir", "plugins_dir", "prefix", "prefork_socket", "s3_endpoint",
    "work_dir", "worker_concurrency", "worker_queues",
}  # fmt: skip
# Read by the scheduler, described nowhere; and what goes to Celery's transport as it is.
UNDESCRIBED = {("scheduler", "num_stuck_in_queued_retries"), ("celery_broker_transport_options", "confirm_publish")}


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else []


def named(*values: Any) -> set[str]:
    return {name for text in texts(list(values)) for name in re.findall(r"\{([a-z0-9_]+)\}", text)}


def rendered(service: dict[str, Any]) -> dict[str, str]:
    return RUNTIME.env({name: f"<{name}>" for name in VARIABLES}, service, {})


def test_every_configuration_key_is_one_of_airflows() -> None:
    options = json.loads((harness.RUNTIME / "config-options.json").read_text())["options"]
    known = {(option["section"], option["key"]) for option in options} | UNDESCRIBED
    tables = [*(runtime.managed for runtime in BROKERS), RUNTIME.toml["defaults"]]
    used = {(section, key) for table in tables for section, keys in table.items() for key in keys}
    used |= {tuple(key.split(".", 1)) for key in RUNTIME.toml["locked"]["keys"]}
    assert used - known == set()


def test_no_key_is_both_managed_and_a_default() -> None:
    for runtime in BROKERS:
        managed, defaults = runtime.managed, runtime.toml["defaults"]
        assert {section: set(keys) & set(managed.get(section, {})) for section, keys in defaults.items()} == {
            section: set() for section in defaults
        }


def test_only_documented_variables_are_used() -> None:
    assert named(RUNTIME.toml) - VARIABLES == set()


def test_no_secret_is_on_a_command_line_or_in_a_url_that_is_asked() -> None:
    secret = {variable for unlocks in RUNTIME.toml["secrets"].values() for variable in unlocks}
    public = [(service["argv"], service["health"], service.get("warm", [])) for service in RUNTIME.toml["service"]]
    assert named(*(list(part) for part in public), RUNTIME.toml["prefork"]) & secret == set()


def test_the_parent_is_given_no_secret() -> None:
    secret = {f"<{variable}>" for unlocks in RUNTIME.toml["secrets"].values() for variable in unlocks}
    environment = RUNTIME.env({name: f"<{name}>" for name in VARIABLES}, None, {})
    assert not [name for name, value in environment.items() if any(text in value for text in secret)]


@pytest.mark.parametrize("secret", ["dsn", "fernet", "jwt"])
def test_a_worker_is_given_no_key_to_the_database(secret: str) -> None:
    worker = RUNTIME.service("worker")
    assert secret not in worker["secrets"]
    for variable in RUNTIME.toml["secrets"][secret]:
        assert not [name for name, value in rendered(worker).items() if f"<{variable}>" in value]


def test_a_granted_secret_arrives() -> None:
    assert rendered(RUNTIME.service("scheduler"))["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "<dsn>"


def test_services_wait_only_for_earlier_ones_of_their_own_node() -> None:
    services = BROKERS[1].services
    for number, service in enumerate(services):
        earlier = {other["name"] for other in services[:number] if other["role"] == service["role"]}
        assert set(service["after"]) <= earlier, service["name"]


def test_each_relayed_port_is_its_services_and_free_where_it_is_relayed() -> None:
    for runtime in BROKERS:
        for relay in runtime.relays:
            service = runtime.service(relay["service"])
            assert relay["port"] in service["ports"]
            assert service["role"] not in relay["on"]
            assert not [s["name"] for s in runtime.services if s["role"] in relay["on"] and relay["port"] in s["ports"]]


def test_the_bundle_configuration_is_json_once_rendered() -> None:
    text = rendered(RUNTIME.service("dag-processor"))["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]
    assert json.loads(text)[0]["kwargs"]["root"] == "<dags_dir>"
    assert json.loads(rendered(RUNTIME.service("worker"))["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
