"""Refuses Airflow's Admin pages to whoever is no admin.

Airflow serves one and the same index.html for every page and decides in the browser; what such a page loads is refused
by the auth manager. A person who follows a link to it is told so by the page itself, with status 403.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from updraft_airflow.auth import User

# The Admin menu of Airflow 3.3's pages.
ADMIN_PAGES = frozenset({"variables", "pools", "providers", "plugins", "connections", "configs"})

_REFUSAL = """<!doctype html><html lang="en"><meta charset="utf-8"><title>For cluster admins</title>
<meta name="viewport" content="width=device-width"><style>body{font:16px/1.5 system-ui;margin:4rem auto;max-width:32rem;
padding:0 1rem;color-scheme:light dark}</style><h1>This page is for cluster admins</h1><p>You may use this Airflow's DAGs
and runs. Ask an admin of the cluster for what you need here, or <a href="%s/">go back to Airflow</a>.</p></html>"""


class RefuseAdminPages:
    """ASGI middleware of the core app."""

    def __init__(self, app: ASGIApp, verify: Callable[[str], User]) -> None:
        self._app = app
        self._verify = verify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_admin_page(scope) and not self._is_admin(scope):
            response = HTMLResponse(_REFUSAL % scope.get("root_path", ""), status_code=403)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_admin(self, scope: Scope) -> bool:
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return False
        try:
            return self._verify(token).is_admin
        except jwt.InvalidTokenError:
            return False


def _is_admin_page(scope: Scope) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path.lstrip("/").split("/", 1)[0] in ADMIN_PAGES
