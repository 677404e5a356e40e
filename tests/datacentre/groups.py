"""Security groups as EC2 has them: texts of few signs, new ones listed late, none deleted that interfaces have."""

from __future__ import annotations

import re
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable

from moto.ec2.models import ec2_backends

from datacentre.answers import Answer, RefusedError
from datacentre.call import Call
from datacentre.instances import Moto, account_of
from datacentre.pages import TAG, Page, keep, unpaged
from datacentre.states import States

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html, and for rules API_IpRange.html
SIGNS = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
RULE_TEXT = re.compile(r"IpPermissions\.\d+\.\w+\.\d+\.Description")


class Groups:
    def __init__(self, moto: Moto, states: States) -> None:
        self._moto = moto
        self._states = states
        self._lock = threading.Lock()
        self._listed_at: dict[str, float] = {}

    def serves(self, action: str) -> Callable[[Call], Answer] | None:
        return {
            "CreateSecurityGroup": self.create,
            "AuthorizeSecurityGroupEgress": self.authorize,
            "AuthorizeSecurityGroupIngress": self.authorize,
            "DescribeSecurityGroups": self.describe,
            "DeleteSecurityGroup": self.delete,
        }.get(action)

    def create(self, call: Call) -> Answer:
        _check_name(call.params.get("GroupName", ""))
        _check_text("security group description", call.params.get("GroupDescription", ""))
        answer = self._moto(call)
        if answer.status == 200:
            name = ET.fromstring(answer.body).findtext(f"{TAG}groupId") or ""
            with self._lock:
                self._listed_at[name] = time.monotonic() + self._states.pace.listed_after
        return answer

    def authorize(self, call: Call) -> Answer:
        for name, text in call.params.items():
            if RULE_TEXT.fullmatch(name):
                _check_text("rule description", text)
        return self._moto(call)

    def describe(self, call: Call) -> Answer:
        page = Page.of(call, self._states, "GroupId")
        answer = self._moto(unpaged(call))
        if answer.status != 200:
            return answer
        root, now = ET.fromstring(answer.body), time.monotonic()
        with self._lock:
            late = {name for name, at in self._listed_at.items() if now < at}
        keep(root, "securityGroupInfo", page, lambda group: group.findtext(f"{TAG}groupId") not in late)
        return Answer(200, ET.tostring(root))

    def delete(self, call: Call) -> Answer:
        name = call.params.get("GroupId", "")
        for reservation in ec2_backends[account_of(call)][call.region].reservations.values():
            for instance in reservation.instances:
                groups = {group.id for interface in instance.nics.values() for group in interface.group_set}
                if name in groups and self._states.state(instance.id) != "terminated":
                    raise RefusedError("DependencyViolation", f"resource {name} has a dependent object")
        return self._moto(call)


def _check_name(name: str) -> None:
    _check_text("security group name", name)
    if not name or name.startswith("sg-"):
        raise RefusedError(
            "InvalidParameterValue", "Invalid value for groupName. It must not be empty or begin with sg-"
        )


def _check_text(what: str, text: str) -> None:
    if not TEXT.fullmatch(text):
        raise RefusedError(
            "InvalidParameterValue",
            f"Value ({text}) is invalid. Invalid {what}. Valid are strings less than 256 characters from the following "
            f"set: {SIGNS}",
        )
