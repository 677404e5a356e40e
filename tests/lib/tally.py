"""Counts what a JUnit file says: `passed failed skipped` on one line; with --failed what failed and the end of what it
said, with --slowest its slowest tests."""

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


# Lines shown of each failure, and of how many failures.
SAID = 12
SHOWN = 10


def print_failed(found: list[ET.Element]) -> None:
    failures = [(case, told) for case in found for told in (*case.iterfind("failure"), *case.iterfind("error"))]
    for case, told in failures[:SHOWN]:
        print(f"          {name(case)}")
        # What Rust adds to a panic says where, and more than anybody reads.
        text, _, _ = (told.text or told.get("message") or "").partition("stack backtrace:")
        for line in text.rstrip().splitlines()[-SAID:]:
            print(f"              {line}")
    if len(failures) > SHOWN:
        print(f"          and {len(failures) - SHOWN} more")


def print_slowest(found: list[ET.Element]) -> None:
    for case in sorted(found, key=lambda case: -float(case.get("time", "0")))[:3]:
        if float(case.get("time", "0")) >= 2:
            print(f"          {float(case.get('time', '0')):6.1f} s  {name(case)}")


def main(arguments: list[str]) -> None:
    *options, path = arguments
    found = cases(Path(path))
    if "--failed" in options:
        print_failed(found)
        return
    if "--slowest" in options:
        print_slowest(found)
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
