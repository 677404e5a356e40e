"""Security groups as EC2 has them: new ones are listed late, and those that interfaces have cannot be deleted."""

from __future__ import annotations

import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable

from moto.ec2.models import ec2_backends

from datacentre.answers import Answer, RefusedError
from datacentre.call import Call
from datacentre.instances import NAMESPACE, TAG, Moto, account_of
from datacentre.states import States

ET.register_namespace("", NAMESPACE)


class Groups:
    def __init__(self, moto: Moto, states: States) -> None:
        self._moto = moto
        self._states = states
        self._lock = threading.Lock()
        self._listed_at: dict[str, float] = {}

    def serves(self, action: str) -> Callable[[Call], Answer] | None:
        return {
            "CreateSecurityGroup": self.create,
            "DescribeSecurityGroups": self.describe,
            "DeleteSecurityGroup": self.delete,
        }.get(action)

    def create(self, call: Call) -> Answer:
        answer = self._moto(call)
        if answer.status == 200:
            name = ET.fromstring(answer.body).findtext(f"{TAG}groupId") or ""
            with self._lock:
                self._listed_at[name] = time.monotonic() + self._states.pace.listed_after
        return answer

    def describe(self, call: Call) -> Answer:
        answer = self._moto(call)
        if answer.status != 200:
            return answer
        root, now = ET.fromstring(answer.body), time.monotonic()
        with self._lock:
            late = {name for name, at in self._listed_at.items() if now < at}
        for groups in root.findall(f"{TAG}securityGroupInfo"):
            for group in list(groups):
                if group.findtext(f"{TAG}groupId") in late:
                    groups.remove(group)
        return Answer(200, ET.tostring(root))

    def delete(self, call: Call) -> Answer:
        name = call.params.get("GroupId", "")
        for reservation in ec2_backends[account_of(call)][call.region].reservations.values():
            for instance in reservation.instances:
                groups = {group.id for interface in instance.nics.values() for group in interface.group_set}
                if name in groups and self._states.state(instance.id) != "terminated":
                    raise RefusedError("DependencyViolation", f"resource {name} has a dependent object")
        return self._moto(call)
