"""Writes config-options.json: every configuration option this runtime's packages declare.

Run it with the Python of an installed environment: `python make_config_options.py > config-options.json`.
Core's options come from Airflow's own config.yml, providers' from their `get_provider_info`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

_DESCRIPTION_CHARS = 400


def _shorten(description: str | None) -> str:
    """The first paragraph, on one line, without reStructuredText's double back-quotes."""
    paragraph = (description or "").strip().split("\n\n", 1)[0]
    line = re.sub(r"\s+", " ", paragraph).replace("``", "`").strip()
    return line if len(line) <= _DESCRIPTION_CHARS else line[: _DESCRIPTION_CHARS - 1].rstrip() + "…"


def _options(section: str, options: dict[str, Any], origin: str) -> list[dict[str, Any]]:
    return [
        {
            "section": section,
            "key": key,
            "type": option.get("type") or "string",
            "default": None if option.get("default") is None else str(option["default"]).strip(),
            "description": _shorten(option.get("description")),
            "sensitive": bool(option.get("sensitive")),
            "deprecated": bool(option.get("version_deprecated")),
            "origin": origin,
        }
        for key, option in options.items()
    ]


def _core() -> list[dict[str, Any]]:
    airflow = importlib.util.find_spec("airflow")
    if airflow is None or airflow.origin is None:
        sys.exit("airflow is not installed in this Python")
    source = Path(airflow.origin).parent / "config_templates" / "config.yml"
    sections = yaml.safe_load(source.read_text())
    return [o for name, section in sections.items() for o in _options(name, section["options"], "apache-airflow-core")]


def _providers() -> list[dict[str, Any]]:
    found = []
    for entry in metadata.entry_points(group="apache_airflow_provider"):
        info = entry.load()()
        for name, section in (info.get("config") or {}).items():
            found += _options(name, section.get("options") or {}, info["package-name"])
    return found


def main() -> None:
    options: dict[tuple[str, str], dict[str, Any]] = {}
    for option in _core() + _providers():
        options.setdefault((option["section"], option["key"]), option)
    ordered = [options[at] for at in sorted(options)]
    catalogue = {"airflow_version": metadata.version("apache-airflow"), "options": ordered}
    json.dump(catalogue, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
