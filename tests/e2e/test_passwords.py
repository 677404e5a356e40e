"""Passwords and second factors as people meet them: real browser, real mail server."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from harness.mail import MailServer, text
from harness.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.installation import Installation
    from harness.rest import Rest


def unused(name: str) -> str:
    """Passwords of a run before are not known any more."""
    return f"{name}{int(time.time())}"


@pytest.fixture
def mail(installation: Installation) -> Iterator[MailServer]:
    server = MailServer(installation.smtp_port).start()
    yield server
    server.stop()


def test_a_forgotten_password_comes_back_by_mail(
    journey: Callable[..., None],
    installation: Installation,
    rest: Rest,
    mail: MailServer,
    person: Callable[..., tuple[str, str]],
    tmp_path: Path,
) -> None:
    """Asked for in the browser while the mail server is away; the mail comes when it is back."""
    address, password = person(unused("flora"), {})
    mail.stop()
    journey("forgotten_password.test.mjs", person={"email": address})
    wait_for("the mail server's absence shows", lambda: rest.get("health")["mail"] == "failing", 30)
    status = installation.cli("status", token=rest.token)
    assert status.code == 0 and "failing" in status.out, status
    mail.start()
    message = mail.mail_to(address)
    link = re.search(r"http\S+", text(message))
    assert link is not None and link.group().startswith(f"{installation.console}/password?link="), text(message)
    assert link.group() in text(message, "html")
    journey(
        "new_password.test.mjs",
        person={"email": address, "password": "seven quiet mountains", "former": password},
        link=link.group(),
    )
    assert rest.get("health")["mail"] == "ok"
    told = [(line["action"], line["outcome"]) for line in rest.items("audit?limit=200")]
    assert ("password_link.request", "done") in told and ("password.reset", "done") in told


def test_an_owners_link_and_an_authenticator_app(
    journey: Callable[..., None], installation: Installation, rest: Rest, person: Callable[..., tuple[str, str]]
) -> None:
    address, former = person(unused("otto"), {})
    made = installation.cli("person", "password-link", address, "-o", "json", token=rest.token).json()
    facts = {"email": address, "password": "eleven slow rivers", "former": former}
    journey("new_password.test.mjs", person=facts, link=made["link"])
    journey("second_factor.test.mjs", person=facts)
    sessions = installation.cli("session", "list", "--person", address, "-o", "json", token=rest.token).json()
    assert sessions, "signed in by code"
    ended = installation.cli("session", "revoke", "--all", "--person", address, "-o", "json", token=rest.token).json()
    assert ended["ended"] == len(sessions)
    assert installation.cli("person", "remove-second-factor", address, token=rest.token).code == 0
    login = ["login", "--email", address, "--password-stdin"]
    home = installation.data_dir.with_name(installation.data_dir.name + ".otto")
    done = installation.cli(*login, home=home, input=facts["password"] + "\n")
    assert done.code == 0, done.err
