"""Refuses Airflow's Admin pages, and all of the API below them, to a cluster user.

Airflow serves one and the same index.html for every page and decides in the browser, and some routes look at their
arguments before they ask the auth manager. Here the path alone decides. Who has no valid token passes: Airflow answers
them with 401, or with a page that sends them to sign in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from updraft_airflow.auth import User

# The Admin menu of Airflow 3.3, as pages and as first segments of the API.
ADMIN_PAGES = frozenset({"variables", "pools", "providers", "plugins", "connections", "configs"})
ADMIN_API = frozenset({"variables", "pools", "providers", "plugins", "connections", "config"})

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>For cluster admins</title>
<meta name="viewport" content="width=device-width"><style>body{font:16px/1.5 system-ui;margin:4rem auto;max-width:32rem;
padding:0 1rem;color-scheme:light dark}</style>
<h1>This page is for cluster admins</h1>
<p>You may use this Airflow's DAGs and runs. Ask an admin of the cluster for what you need here, or
<a href="%s/">go back to Airflow</a>.</p></html>"""


class RefuseAdminArea:
    """ASGI middleware of the api-server's app."""

    def __init__(self, app: ASGIApp, verify: Callable[[str], User]) -> None:
        self._app = app
        self._verify = verify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = _refusal(scope)
            if refusal is not None and self._is_user(scope):
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_user(self, scope: Scope) -> bool:
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return False
        try:
            return not self._verify(token).is_admin
        except jwt.InvalidTokenError:
            return False


def _refusal(scope: Scope) -> Response | None:
    """What a user is told on this path, if it belongs to admins."""
    root: str = scope.get("root_path", "")
    match scope["path"].removeprefix(root).strip("/").split("/"):
        case ["api", "v2", area, *_] if area in ADMIN_API:
            return JSONResponse({"detail": "Forbidden"}, status_code=403)
        case ["ui", "connections", *_]:
            return JSONResponse({"detail": "Forbidden"}, status_code=403)
        case [page, *_] if page in ADMIN_PAGES:
            return HTMLResponse(_PAGE % root, status_code=403)
        case _:
            return None
