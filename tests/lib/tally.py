"""Counts what a JUnit file says: `passed failed skipped` on one line, or with --slowest its slowest tests."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def cases(path: Path) -> list[ET.Element]:
    if not path.is_file():
        return []
    return list(ET.parse(path).getroot().iter("testcase"))


def verdict(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def name(case: ET.Element) -> str:
    return f"{case.get('classname', '')}::{case.get('name', '')}"


def main(arguments: list[str]) -> None:
    *options, path = arguments
    found = cases(Path(path))
    if "--slowest" in options:
        timed = sorted(found, key=lambda case: -float(case.get("time", "0")))
        for case in timed[:3]:
            if float(case.get("time", "0")) >= 2:
                print(f"          {float(case.get('time', '0')):6.1f} s  {name(case)}")
        return
    # A test that fails and then fails again in its teardown is one failed test.
    verdicts: dict[str, str] = {}
    for case in found:
        if verdicts.get(name(case)) != "failed":
            verdicts[name(case)] = verdict(case)
    counts = [sum(1 for got in verdicts.values() if got == want) for want in ("passed", "failed", "skipped")]
    print(*counts)


if __name__ == "__main__":
    main(sys.argv[1:])
