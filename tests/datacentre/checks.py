"""EC2's own checks of instances, as `DescribeInstanceStatus` tells them. They pass until a test has one fail."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable

from moto.ec2.models import ec2_backends

from datacentre.answers import Answer
from datacentre.call import Call
from datacentre.instances import account_of
from datacentre.pages import NAMESPACE, Page
from datacentre.states import CODES, States

KINDS = ("system", "instance")
KNOWN = ("ok", "impaired")


class Checks:
    def __init__(self, states: States) -> None:
        self._states = states
        self._lock = threading.Lock()
        self._failing: dict[tuple[str, str], str] = {}
        """Since when, by instance and kind."""

    def serves(self, action: str) -> Callable[[Call], Answer] | None:
        return self.describe if action == "DescribeInstanceStatus" else None

    def fail(self, instance: str, kind: str, since: str) -> None:
        assert kind in KINDS, kind
        with self._lock:
            self._failing[instance, kind] = since

    def describe(self, call: Call) -> Answer:
        """Of what runs."""
        page = Page.of(call, self._states, "InstanceId")
        known = ec2_backends[account_of(call)][call.region].all_instances()
        named = [instance.id for instance in known if self._states.is_listed(instance.id)]
        wanted = [name for name in named if self._states.state(name) == "running" and self._is_wanted(call, name)]
        root = ET.Element("DescribeInstanceStatusResponse", {"xmlns": NAMESPACE})
        found = ET.SubElement(root, "instanceStatusSet")
        for name in page.items(wanted):
            self._tell(ET.SubElement(found, "item"), name)
        page.end(root, len(wanted), tag="")
        return Answer(200, ET.tostring(root))

    def _is_wanted(self, call: Call, name: str) -> bool:
        filters = call.filters()
        return all(self._status(name, kind) in filters.get(f"{kind}-status.status", KNOWN) for kind in KINDS)

    def _status(self, name: str, kind: str) -> str:
        with self._lock:
            return "impaired" if (name, kind) in self._failing else "ok"

    def _tell(self, item: ET.Element, name: str) -> None:
        ET.SubElement(item, "instanceId").text = name
        state = ET.SubElement(item, "instanceState")
        ET.SubElement(state, "code").text = str(CODES["running"])
        ET.SubElement(state, "name").text = "running"
        for kind in KINDS:
            status = ET.SubElement(item, f"{kind}Status")
            ET.SubElement(status, "status").text = self._status(name, kind)
            detail = ET.SubElement(ET.SubElement(status, "details"), "item")
            ET.SubElement(detail, "name").text = "reachability"
            with self._lock:
                since = self._failing.get((name, kind))
            ET.SubElement(detail, "status").text = "failed" if since else "passed"
            if since:
                ET.SubElement(detail, "impairedSince").text = since
