"""Launching, stopping, starting, ending and listing instances, as EC2 does it."""

from __future__ import annotations

import base64
import binascii
import math
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends
from moto.sts.models import sts_backends

from datacentre.answers import Answer, RefusedError
from datacentre.call import Call
from datacentre.hosts.machine import Machine
from datacentre.hosts.park import Park
from datacentre.pages import NAMESPACE, TAG, Page, keep, unpaged
from datacentre.signatures import OWN_ACCOUNT
from datacentre.states import CODES, States

NOTHING_ENDED = f'<TerminateInstancesResponse xmlns="{NAMESPACE}"><instancesSet/></TerminateInstancesResponse>'.encode()
LARGEST_USER_DATA = 16 * 1024

Moto = Callable[[Call], Answer]


class Instances:
    def __init__(self, moto: Moto, states: States, park: Park | None = None) -> None:
        self._moto = moto
        self._states = states
        self._park = park
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str, str], tuple[dict[str, str], Answer]] = {}

    def serves(self, action: str) -> Callable[[Call], Answer] | None:
        return {
            "RunInstances": self.run,
            "DescribeInstances": self.describe,
            "StopInstances": self.stop,
            "StartInstances": self.start,
            "TerminateInstances": self.terminate,
        }.get(action)

    def run(self, call: Call) -> Answer:
        """The same token and parameters give the same answer; failures are not remembered."""
        asked = {name: value for name, value in call.params.items() if name != "ClientToken"}
        token = call.params.get("ClientToken", "")
        if len(token) > 64:
            raise RefusedError("InvalidParameterValue", "The client token is longer than 64 characters")
        key = (account_of(call), call.region, token)
        with self._lock:
            if token and key in self._tokens:
                first, answer = self._tokens[key]
                if first != asked:
                    raise RefusedError(
                        "IdempotentParameterMismatch",
                        "Arguments on this idempotent request are inconsistent with those of previous requests.",
                    )
                return self._as_of_now(answer)
            answer = self._launch(call)
            if answer.status == 200:
                for name in _names(ET.fromstring(answer.body)):
                    self._made(call, name)
                self._tokens[key] = (asked, answer)
        return self._as_of_now(answer) if answer.status == 200 else answer

    def describe(self, call: Call) -> Answer:
        for name in call.listed("InstanceId"):
            if not self._states.is_listed(name):
                raise _unknown(name)
        page = Page.of(call, self._states, "InstanceId")
        states = call.filters().get("instance-state-name")
        answer = self._moto(call.with_params(_without_filter(unpaged(call), "instance-state-name")))
        if answer.status != 200:
            return answer
        root = ET.fromstring(answer.body)
        keep(root, "reservationSet", page, lambda item: self._is_wanted(item, states))
        for instance in _instances(root):
            self._patch(instance)
        return Answer(200, ET.tostring(root))

    def stop(self, call: Call) -> Answer:
        self._require(call, {"running", "stopping", "stopped"})
        moving = [name for name in call.listed("InstanceId") if self._states.state(name) == "running"]
        answer = self._moto(call)
        for name in moving if answer.status == 200 else []:
            self.move(name, "stopping", self._states.pace.stopping_for, "stopped")
        return answer

    def start(self, call: Call) -> Answer:
        self._require(call, {"running", "pending", "stopped"})
        moving = [name for name in call.listed("InstanceId") if self._states.state(name) == "stopped"]
        answer = self._moto(call)
        for name in moving if answer.status == 200 else []:
            self.move(name, "pending", self._states.pace.pending_for, "running")
        return answer

    def terminate(self, call: Call) -> Answer:
        """What is ending or has ended stays so; moto would look for its network interface once more."""
        self._require(call, set(CODES))
        ended = ("terminated", "shutting-down")
        going = [name for name in call.listed("InstanceId") if self._states.state(name) not in ended]
        params = {key: value for key, value in call.params.items() if not key.startswith("InstanceId.")}
        params |= {f"InstanceId.{number}": name for number, name in enumerate(going, start=1)}
        answer = self._moto(call.with_params(params)) if going else Answer(200, NOTHING_ENDED)
        for name in going if answer.status == 200 else []:
            self.move(name, "shutting-down", self._states.pace.ending_for, "terminated")
        return answer

    def _made(self, call: Call, name: str) -> None:
        self._states.made(name)
        if self._park:
            self._states.move(name, "pending", math.inf, "running")
            user_data = call.params.get("UserData", "")
            self._park.launch(Machine.of(account_of(call), call.region, name, user_data))

    def move(self, name: str, passing: str, seconds: float, settled: str) -> None:
        """A host takes the time it takes."""
        self._states.move(name, passing, math.inf if self._park else seconds, settled)
        if self._park:
            self._park.bring(name, settled)

    def _launch(self, call: Call) -> Answer:
        params = dict(call.params)
        params.pop("ClientToken", None)
        _check_user_data(params.get("UserData", ""))
        image = params.get("ImageId", "")
        if image.startswith("resolve:ssm:"):
            parameters = ssm_backends[account_of(call)][call.region]
            found = parameters.get_parameter(image.removeprefix("resolve:ssm:"))
            if found is None:
                raise RefusedError("InvalidParameterValue", f"The parameter of '{image}' does not exist")
            params["ImageId"] = found.value
        _check_groups(call)
        _check_profile(call)
        _check_key_pair(call)
        return self._moto(call.with_params(params))

    def _require(self, call: Call, states: set[str]) -> None:
        for name in call.listed("InstanceId"):
            if not self._states.is_listed(name):
                raise _unknown(name)
            state = self._states.state(name)
            if state not in states:
                raise RefusedError(
                    "IncorrectInstanceState", f"The instance '{name}' is not in a state from which it can: {state}"
                )

    def _as_of_now(self, answer: Answer) -> Answer:
        root = ET.fromstring(answer.body)
        for instance in _instances(root):
            self._patch(instance)
        return Answer(200, ET.tostring(root))

    def _is_wanted(self, reservation: ET.Element, states: list[str] | None) -> bool:
        names = _names(reservation)
        return all(self._states.is_listed(n) and (states is None or self._states.state(n) in states) for n in names)

    def _patch(self, instance: ET.Element) -> None:
        state = self._states.state(_text(instance, "instanceId"))
        for part, value in (("code", str(CODES[state])), ("name", state)):
            element = instance.find(f"{TAG}instanceState/{TAG}{part}")
            assert element is not None
            element.text = value
        if reason := self._states.reason(_text(instance, "instanceId")):
            _give_reason(instance, *reason)
        if state == "terminated":
            for part in ("privateIpAddress", "networkInterfaceSet"):
                gone = instance.find(f"{TAG}{part}")
                if gone is not None:
                    instance.remove(gone)


def account_of(call: Call) -> str:
    for account, backends in sts_backends.items():
        if any(backend.get_assumed_role_from_access_key(call.access_key) for backend in backends.values()):
            return str(account)
    return OWN_ACCOUNT


def _without_filter(call: Call, name: str) -> dict[str, str]:
    kept = {key: value for key, value in call.params.items() if not key.startswith("Filter.")}
    for number, (other, values) in enumerate(
        ((other, values) for other, values in call.filters().items() if other != name), start=1
    ):
        kept[f"Filter.{number}.Name"] = other
        kept |= {f"Filter.{number}.Value.{at}": value for at, value in enumerate(values, start=1)}
    return kept


def _check_user_data(encoded: str) -> None:
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except binascii.Error as error:
        raise RefusedError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data") from error
    if size > LARGEST_USER_DATA:
        raise RefusedError("InvalidParameterValue", "User data is limited to 16384 bytes")


def _check_groups(call: Call) -> None:
    backend = ec2_backends[account_of(call)][call.region]
    known = {group.id for groups in backend.groups.values() for group in groups.values()}
    for group in call.listed("NetworkInterface.1.SecurityGroupId"):
        if group not in known:
            raise RefusedError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")


def _check_profile(call: Call) -> None:
    name = call.params.get("IamInstanceProfile.Name")
    profiles = iam_backends[account_of(call)]["aws"].get_instance_profiles()
    if name and name not in {profile.name for profile in profiles}:
        raise RefusedError(
            "InvalidParameterValue",
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        )


def _check_key_pair(call: Call) -> None:
    name = call.params.get("KeyName")
    if name and name not in ec2_backends[account_of(call)][call.region].key_pairs:
        raise RefusedError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")


def _unknown(name: str) -> RefusedError:
    return RefusedError("InvalidInstanceID.NotFound", f"The instance ID '{name}' does not exist")


def _instances(root: ET.Element) -> list[ET.Element]:
    return root.findall(f".//{TAG}instancesSet/{TAG}item")


def _names(root: ET.Element) -> list[str]:
    return [_text(instance, "instanceId") for instance in _instances(root)]


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(f"{TAG}{name}") or ""


def _give_reason(instance: ET.Element, code: str, message: str) -> None:
    if (before := instance.find(f"{TAG}stateReason")) is not None:
        instance.remove(before)
    reason = ET.SubElement(instance, f"{TAG}stateReason")
    ET.SubElement(reason, f"{TAG}code").text = code
    ET.SubElement(reason, f"{TAG}message").text = message
