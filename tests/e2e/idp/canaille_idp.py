"""Canaille, a second OpenID provider for tests: its people and groups stand in a JSON file, read for every request.

    python canaille_idp.py --port 9000 --state state.json [--host 127.0.0.1]

Prints `ready <issuer>` once it listens; port 0 takes a free one. People sign in with their name and the password
`canaille password`. The state, in which what is not known here is passed over:

    {
      "clients": [{"client_id": "…", "client_secret": "…", "redirect_uris": […], "post_logout_redirect_uris": […]}],
      "users": {"ada": {"name": "Ada Lovelace", "email": "ada@example.com", "groups": ["data-platform"]}}
    }
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import socket
from pathlib import Path
from typing import Any

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

PASSWORD = "canaille password"
OF_CLIENTS = ("client_id", "client_secret", "redirect_uris", "post_logout_redirect_uris")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    listener = socket.create_server((options.host, options.port))
    authority = f"{options.host}:{listener.getsockname()[1]}"
    app = application(authority)
    server = make_server(options.host, options.port, app, fd=listener.fileno())
    with app.app_context():
        add_clients(json.loads(options.state.read_text())["clients"])

    def reread() -> None:
        update_people(json.loads(options.state.read_text())["users"])

    app.before_request_funcs.setdefault(None, []).insert(0, reread)
    print(f"ready http://{authority}", flush=True)
    server.serve_forever()


def application(authority: str) -> Any:
    key = RSAKey.generate_key(2048, parameters={"kid": "canaille", "use": "sig", "alg": "RS256"}, private=True)
    return create_app(
        {
            "SECRET_KEY": "a test signs its cookies with this",
            "SERVER_NAME": authority,
            "PREFERRED_URL_SCHEME": "http",
            "SESSION_COOKIE_SECURE": False,
            "CANAILLE": {"DATABASE": "memory", "LOGGING": None},
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
        }
    )


def add_clients(clients: list[dict[str, Any]]) -> None:
    for client in clients:
        added = models.Client(
            client_name=client["client_id"],
            # Trusted, so that nobody is asked for consent.
            client_uri="http://127.0.0.1/",
            client_id_issued_at=datetime.datetime.now(datetime.timezone.utc),
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
            **{name: client[name] for name in OF_CLIENTS if name in client},
        )
        # It has to be there before it can be among its own audience.
        Backend.instance.save(added)
        added.audience = [added]
        Backend.instance.save(added)


def update_people(people: dict[str, dict[str, Any]]) -> None:
    """Whoever was taken out of the file is gone."""
    backend = Backend.instance
    for user in backend.query(models.User):
        if user.user_name not in people:
            backend.delete(user)
    for name, wanted in people.items():
        user = backend.get(models.User, user_name=name)
        if user is None:
            user = models.User(
                user_name=name,
                formatted_name=wanted["name"],
                family_name=wanted["name"].split()[-1],
                emails=[wanted["email"]],
                password=PASSWORD,
            )
            backend.save(user)
        join(user, wanted["groups"])


def join(user: Any, wanted: list[str]) -> None:
    backend = Backend.instance
    for name in wanted:
        group = backend.get(models.Group, display_name=name)
        if group is None:
            backend.save(models.Group(display_name=name, members=[user]))
        elif user not in group.members:
            group.members = [*group.members, user]
            backend.save(group)
    for group in backend.query(models.Group):
        if group.display_name not in wanted and user in group.members:
            group.members = [member for member in group.members if member != user]
            if group.members:
                backend.save(group)
            else:
                backend.delete(group)


if __name__ == "__main__":
    main()
