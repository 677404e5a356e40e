"""Lists in pages, as EC2 gives them: not more at once than was asked for, nor than a test lets it give."""

from __future__ import annotations

import base64
import binascii
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from datacentre.answers import Answer, RefusedError
from datacentre.call import Call
from datacentre.states import States

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15"
TAG = f"{{{NAMESPACE}}}"
PAGING = ("MaxResults", "NextToken")
ET.register_namespace("", NAMESPACE)

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    size: int
    start: int
    question: str

    @classmethod
    def of(cls, call: Call, states: States, named: str) -> Page:
        """`named` lists single things, which are never given in pages."""
        question = _question(call)
        if "MaxResults" not in call.params:
            return cls(1 << 30, 0, question)
        if call.listed(named):
            raise RefusedError("InvalidParameterCombination", f"MaxResults and {named}s cannot be used together")
        size = int(call.params["MaxResults"])
        if not 5 <= size <= 1000:
            raise RefusedError(
                "InvalidParameterValue",
                f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value from 5 to 1000",
            )
        token = call.params.get("NextToken")
        return cls(min(size, states.pace.page_at_most), _start(token, question) if token else 0, question)

    def items(self, listed: list[T]) -> list[T]:
        return listed[self.start : self.start + self.size]

    def end(self, root: ET.Element, count: int, tag: str = TAG) -> None:
        """Says where it goes on, if it does."""
        if (end := self.start + self.size) < count:
            token = base64.urlsafe_b64encode(f"{self.question} {end}".encode()).decode()
            ET.SubElement(root, f"{tag}nextToken").text = token


class Volumes:
    """Moto lists them all at once."""

    def __init__(self, moto: Callable[[Call], Answer], states: States) -> None:
        self._moto = moto
        self._states = states

    def serves(self, action: str) -> Callable[[Call], Answer] | None:
        return self.describe if action == "DescribeVolumes" else None

    def describe(self, call: Call) -> Answer:
        page = Page.of(call, self._states, "VolumeId")
        answer = self._moto(unpaged(call))
        if answer.status != 200:
            return answer
        root = ET.fromstring(answer.body)
        keep(root, "volumeSet", page, lambda _: True)
        return Answer(200, ET.tostring(root))


def unpaged(call: Call) -> Call:
    return call.with_params({name: value for name, value in call.params.items() if name not in PAGING})


def keep(root: ET.Element, name: str, page: Page, is_listed: Callable[[ET.Element], bool]) -> None:
    """Of what moto lists, that page of what is listed."""
    found = root.find(f"{TAG}{name}")
    if found is None:
        return
    listed = [item for item in found if is_listed(item)]
    for item in list(found):
        found.remove(item)
    found.extend(page.items(listed))
    page.end(root, len(listed))


def _question(call: Call) -> str:
    asked = sorted((name, value) for name, value in call.params.items() if name != "NextToken")
    return hashlib.sha256(repr(asked).encode()).hexdigest()


def _start(token: str, question: str) -> int:
    """A token is good for the rest of what was asked, and for nothing else."""
    try:
        asked, _, start = base64.urlsafe_b64decode(token).decode().partition(" ")
        if asked == question:
            return int(start)
    except (ValueError, binascii.Error):
        pass
    raise RefusedError("InvalidParameterValue", "Unable to parse pagination token")
