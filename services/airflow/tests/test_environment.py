"""Environments are built by the real `uv` from an index on the loopback, and refused with their reasons."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from package_index import Index

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]
UV = REPOSITORY / ".tools" / "installer" / "bin" / "uv"
DAG = "from airflow.sdk import DAG\nwith DAG('d', schedule=None):\n    pass\n"


@dataclass
class Builder:
    base: Path
    place: Path
    index: Index
    home: Path

    def build(self, requirements: str, **changes: object) -> dict[str, Any]:
        """The builder's last words."""
        staging = self.place / f"staging-{len(list(self.place.iterdir()))}"
        staging.mkdir()
        environment = staging / "environment"
        request = {
            "staging": str(staging),
            "environment": str(environment),
            "base": str(self.base),
            "before": str(self.base),
            "dags": None,
            "requirements": requirements,
            "allow_source_builds": False,
            "uv": str(UV),
            "index_url": self.index.url,
            "limits": {"time_s": 120, "memory_bytes": 2 << 30, "disk_bytes": 1 << 30, "processes": 100_000},
        } | changes
        last = self.run(staging, request | {"part": "make"})
        if last.get("ready"):
            last = self.run(staging, request | {"part": "check"})
        return last | {"environment": environment}

    def run(self, staging: Path, request: dict[str, Any]) -> dict[str, Any]:
        (staging / "request.json").write_text(json.dumps(request))
        environment = {
            "PATH": "/usr/bin:/bin",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://nobody@127.0.0.1:1/nothing",
        }
        command = [str(self.base / "bin" / "python"), "-I", "-m", "updraft_airflow.environment"]
        ended = subprocess.run(
            [*command, "--request", str(staging / "request.json")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        assert lines, ended.stderr
        last: dict[str, Any] = lines[-1]
        return last


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    served = Index(tmp_path_factory.mktemp("index"))
    served.wheel("greeter", "1.0", {"greeter.py": "WORD = 'hello'\n"}, entry_points="[console_scripts]\ngreet = greeter:main\n")
    served.wheel("oldtimer", "1.0", {"oldtimer.py": ""}, requires=("pendulum<2",))
    served.wheel("one", "1.0", {"one.py": ""}, requires=("shared<2",))
    served.wheel("two", "1.0", {"two.py": ""}, requires=("shared>=2",))
    served.wheel("shared", "1.0", {"shared.py": ""})
    served.wheel("shared", "2.0", {"shared.py": ""})
    served.wheel("usurper", "1.0", {"airflow/__init__.py": "raise RuntimeError\n"})
    served.wheel("saboteur", "1.0", {"saboteur.pth": "import sys; sys.modules['airflow'] = None\n"})
    served.wheel("trap", "1.0", {"trap.pth": "import sys; sys.modules['sqlite3'] = None\n"})
    served.wheel("pendulum", "1.5", {"pendulum.py": ""})
    served.source("bare", "1.0", "pass")
    served.source("failing", "1.0", "raise SystemExit('the compiler is missing')")
    yield served
    served.close()


@pytest.fixture
def builder(environment: Path, index: Index, tmp_path: Path) -> Builder:
    home, place = tmp_path / "home", tmp_path / "builds"
    home.mkdir()
    place.mkdir()
    return Builder(environment, place, index, home)


def run(environment: Path, code: str) -> str:
    ended = subprocess.run(
        [str(environment / "bin" / "python"), "-c", code], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    return (ended.stdout or ended.stderr).strip()


def test_a_package_lies_beside_those_of_the_runtime_wherever_the_environment_is_moved(builder: Builder) -> None:
    built = builder.build("greeter")
    assert built.get("ready"), built
    moved = builder.place / "elsewhere"
    built["environment"].rename(moved)
    assert run(moved, "import greeter, airflow, sys; print(greeter.WORD, sys.prefix)") == f"hello {moved}"
    compiled = moved / "lib"
    assert list(compiled.rglob("greeter.*.pyc")), "modules are compiled"
    assert str(builder.place).encode() not in (moved / "bin" / "greet").read_bytes()
    version = subprocess.run(
        [str(moved / "bin" / "airflow"), "version"],
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(builder.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert version.stdout.strip().startswith("3."), version.stderr


def test_packages_of_the_runtime_are_named_and_not_installed_again(builder: Builder) -> None:
    built = builder.build("greeter\npendulum\n")
    assert built.get("ready"), built
    own = built["environment"] / "lib"
    assert not list(own.rglob("pendulum*"))


@pytest.mark.parametrize(
    ("requirements", "cause", "words"),
    [
        ("oldtimer", "conflict", "pendulum"),
        ("pendulum==1.5", "conflict", "pendulum"),
        ("one\ntwo", "conflict", "shared"),
        ("no-such-package", "missing", "no-such-package"),
        ("greeter==9", "missing", "greeter"),
        ("greeter>=9", "missing", "greeter"),
        ("bare", "missing", "wheel"),
        ("usurper", "breaks_airflow", "airflow/__init__.py"),
        ("saboteur", "breaks_airflow", "Airflow does not work"),
        ("saboteur", "breaks_airflow", "New here: saboteur 1.0."),
    ],
)
def test_a_bad_environment_is_refused_with_its_reason(
    builder: Builder, requirements: str, cause: str, words: str
) -> None:
    refused = builder.build(requirements)
    assert (refused.get("refused"), words in refused.get("message", "")) == (cause, True), refused


def test_a_package_without_a_wheel_is_built_when_that_is_allowed(builder: Builder) -> None:
    built = builder.build("bare", allow_source_builds=True)
    assert built.get("ready"), built
    assert run(built["environment"], "import bare; print(bare.BUILT)") == "True"
    failing = builder.build("failing", allow_source_builds=True)
    assert failing["refused"] == "install" and "the compiler is missing" in failing["message"], failing


def test_an_index_that_does_not_answer_is_said_to_be_away(builder: Builder) -> None:
    refused = builder.build("greeter", index_url="http://127.0.0.1:9/simple")
    assert refused["refused"] == "index", refused


def test_only_what_breaks_dags_that_import_now_is_refused(builder: Builder, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "broken_anyway.py").write_text(DAG + "import no_such_module\n")
    good = builder.build("greeter", dags=str(dags))
    assert good.get("ready"), good
    (dags / "reports.py").write_text("import sqlite3\n" + DAG)
    refused = builder.build("trap", dags=str(dags))
    assert refused["refused"] == "breaks_dags", refused
    assert "reports.py" in refused["message"] and "broken_anyway" not in refused["message"]


PLUGIN = """
from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI
from words import WORD


def greeting():
    return WORD


class Greeter(AirflowPlugin):
    name = "greeter"
    macros = [greeting]
    fastapi_apps = [{"name": "hello", "app": FastAPI(), "url_prefix": "/hello"}]
"""


def test_plugins_that_dags_bring_become_part_of_the_environment(builder: Builder, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    plugins = dags / "plugins"
    (plugins / "static").mkdir(parents=True)
    (plugins / "greeter.py").write_text(PLUGIN)
    (plugins / "words.py").write_text("WORD = 'servus'\n")
    (plugins / "static" / "page.html").write_text("hello")
    (plugins / "no_dag.py").write_text("# Looks like a DAG of airflow.\nimport sys\nassert 'words' in sys.modules\n")
    (dags / "reports.py").write_text("from words import WORD\n" + DAG)
    built = builder.build("", dags=str(dags), plugins=str(plugins))
    assert built.get("ready"), built
    own = built["environment"] / "plugins"
    assert (own / "static" / "page.html").read_text() == "hello"
    assert list(own.rglob("greeter.*.pyc")), "modules are compiled"


@pytest.mark.parametrize(
    ("plugin", "words"),
    [("import no_such_module\n", "no_such_module"), ("raise SystemExit('not today')\n", "not today")],
)
def test_plugins_that_can_not_be_loaded_are_refused(builder: Builder, tmp_path: Path, plugin: str, words: str) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "broken.py").write_text(plugin)
    refused = builder.build("", plugins=str(plugins))
    assert refused["refused"] == "breaks_plugins", refused
    assert words in refused["message"], refused


def test_what_a_build_runs_is_told_nothing_of_its_surroundings(builder: Builder) -> None:
    os.environ["A_SECRET"] = "s3cret"
    telling = "import os; raise SystemExit(sorted(os.environ))"
    builder.index.source("telling", "1.0", telling)
    refused = builder.build("telling", allow_source_builds=True)
    assert refused["refused"] == "install" and "AIRFLOW" not in refused["message"], refused
