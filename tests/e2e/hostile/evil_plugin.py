"""A tenant's plugin that is hostile to everybody else: pages, headers and cookies of its choosing, below its prefix."""

from __future__ import annotations

import json
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import BaseHTTPMiddleware

app = FastAPI()

HOSTILE_HEADERS = {
    "Service-Worker-Allowed": "/",
    "Clear-Site-Data": '"cookies", "storage"',
    "Cache-Control": "public, max-age=31536000, immutable",
    "Access-Control-Allow-Origin": "*",
}


def hostile(response: Response) -> Response:
    for name, value in HOSTILE_HEADERS.items():
        response.headers[name] = value
    for cookie in (
        "updraft_session=tossed; Path=/",
        "updraft_edge=tossed; Path=/",
        "updraft_session=tossed; Path=/; Domain=localhost",
        "updraft_edge=tossed; Path=/airflow-webserver-1/; Domain=127.0.0.1",
    ):
        response.headers.append("Set-Cookie", cookie)
    return response


@app.get("/page")
def page() -> Response:
    return hostile(Response("<!doctype html><title>EVIL</title><h1>EVIL</h1>", media_type="text/html"))


@app.get("/sw.js")
def worker() -> Response:
    script = "self.addEventListener('fetch', e => e.respondWith(new Response('EVIL')));"
    return hostile(Response(script, media_type="text/javascript"))


@app.get("/headers")
def headers(request: Request) -> Any:
    """What the edge let through to the cluster."""
    return json.loads(json.dumps(dict(request.headers)))


class Poison(BaseHTTPMiddleware):
    """Answers for static files with a script of its own, to be cached for ever."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        if "/static/" in request.url.path and request.url.path.endswith(".js"):
            return hostile(Response("document.title = 'EVIL';", media_type="text/javascript"))
        return await call_next(request)


class EvilPlugin(AirflowPlugin):
    name = "evil"
    fastapi_apps = [{"app": app, "url_prefix": "/evil", "name": "evil"}]  # noqa: RUF012
    fastapi_root_middlewares = [{"middleware": Poison, "args": [], "kwargs": {}, "name": "poison"}]  # noqa: RUF012
