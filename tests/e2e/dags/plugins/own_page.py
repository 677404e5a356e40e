"""A macro and a page that come with the DAGs."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
def hello() -> str:
    return greeting()


def greeting() -> str:
    return "griaß di"


class OwnPage(AirflowPlugin):
    name = "own_page"
    macros: ClassVar = [greeting]
    fastapi_apps: ClassVar = [{"name": "own_page", "app": app, "url_prefix": "/own-page"}]
