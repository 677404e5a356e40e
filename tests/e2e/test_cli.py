"""The command line against a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.installation import Installation
    from harness.rest import Rest


def test_sign_in_is_kept_for_its_owner_alone(installation: Installation, tmp_path: Path) -> None:
    login = ["login", "--email", installation.email, "--password-stdin"]
    done = installation.cli(*login, home=tmp_path, input=installation.password + "\n")
    assert done.code == 0, done.err
    kept = tmp_path / "updraft" / "credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert installation.password not in kept.read_text() + done.out + done.err
    assert installation.cli("status", "--output", "json", home=tmp_path).json()["me"]["email"] == installation.email
    assert installation.cli("logout", home=tmp_path).code == 0
    assert installation.cli("cluster", "list", home=tmp_path).code == 4


def test_a_wrong_password_is_refused(installation: Installation, tmp_path: Path) -> None:
    done = installation.cli(
        "login", "--email", "nobody@example.com", "--password-stdin", home=tmp_path, input="wrong\n"
    )
    assert done.code == 4 and done.err.startswith("error: "), done.err


def test_clusters_are_named_by_name_or_number(installation: Installation, rest: Rest) -> None:
    by_name = installation.cli("cluster", "show", "demo", "-o", "json", token=rest.token).json()
    by_id = installation.cli("cluster", "show", str(by_name["id"]), "-o", "json", token=rest.token).json()
    assert by_name["name"] == by_id["name"] == "demo"


def test_exit_codes_tell_what_went_wrong(installation: Installation, rest: Rest) -> None:
    codes = {
        installation.cli("cluster", "show", "no-such-one", token=rest.token).code,
        installation.cli("cluster", "show", "424242", token=rest.token).code,
    }
    assert codes == {3}
    assert installation.cli("cluster", "start", token=rest.token).code == 2
    assert installation.cli("cluster", "delete", "demo", token=rest.token, input="").code == 2
    refused = installation.cli("cluster", "create", "bad", "--config", "core.executor=LocalExecutor", token=rest.token)
    assert refused.code == 4 and "core.executor" in refused.err, refused.err


def test_lists_are_tables_for_people_and_json_for_programs(installation: Installation, rest: Rest) -> None:
    for words in (["list"], ["nodes", "demo"], ["services", "demo"], ["operations", "demo"], ["events", "demo"]):
        table = installation.cli("cluster", *words, token=rest.token)
        assert table.code == 0 and table.out.strip(), f"{words}: {table.err}"
    assert {"demo"} <= {
        one["name"] for one in installation.cli("cluster", "list", "-o", "json", token=rest.token).json()
    }


def test_a_restarted_service_is_another_process(installation: Installation, rest: Rest, demo: dict[str, int]) -> None:
    before = rest.service(demo["id"], "triggerer")
    words = ["cluster", "services", "restart", "demo", "triggerer", "--wait", "--timeout", "2m", "-o", "json"]
    done = installation.cli(*words, token=rest.token)
    assert done.json()["operation"]["state"] == "succeeded", done.err
    after = rest.service(demo["id"], "triggerer")
    assert after["state"] == "healthy" and after["pid"] != before["pid"]
    assert after["restarts"] == before["restarts"], "asked-for restarts do not count as failures"
