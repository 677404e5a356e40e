"""One address for all of it: AWS's services, and below `/datacentre/` what tests ask of the data centre itself."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app

from datacentre import parameters, permissions, roles, world
from datacentre.answers import Answer, RefusedError
from datacentre.call import Call
from datacentre.checks import Checks
from datacentre.faults import Fault, Faults
from datacentre.groups import Groups
from datacentre.hosts import network
from datacentre.hosts.park import Park
from datacentre.instances import Instances, account_of
from datacentre.limits import Limits
from datacentre.pages import Volumes
from datacentre.signatures import OWN_KEY, OWN_SECRET, verify
from datacentre.states import Pace, States

# Their signatures are verified here; other services are moto's alone.
OURS = {"ec2", "sts", "ssm"}


class Endpoint:
    def __init__(self, states: States, park: Park | None = None) -> None:
        """With a park, what it launches are hosts."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self._states = states
        self._faults = Faults()
        self._limits = Limits()
        self._park = park
        self._instances = Instances(self._ask_moto, states, park)
        self._groups = Groups(self._ask_moto, states)
        self._checks = Checks(states)
        self._volumes = Volumes(self._ask_moto, states)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        environ["wsgi.input"] = io.BytesIO(body)
        call = Call.read(environ, _url(environ), _headers(environ), body)
        if environ["PATH_INFO"].startswith("/datacentre/"):
            return _send(self._control(environ["PATH_INFO"].split("/")[2], body), start_response)
        if call.service not in OURS:
            forwarded: Iterable[bytes] = self._app(environ, start_response)
            return forwarded
        fault = self._faults.next(call.action)
        try:
            answer = self._answer(call, fault)
        except RefusedError as refused:
            answer = refused.answer(call.service)
        if fault and fault.answer_lost:
            return _cut(start_response)
        return _send(answer, start_response)

    def _answer(self, call: Call, fault: Fault | None) -> Answer:
        verify(call)
        if call.service == "ec2":
            self._limits.take(account_of(call), call.region, call.action)
            parameters.check(call)
            parameters.check_filters(call)
            parameters.check_tags(call)
        if fault and not fault.answer_lost:
            raise RefusedError(fault.code, fault.message, fault.status)
        if call.action == "AssumeRole":
            roles.check_assumption(call)
        roles.check(call, self._states.is_listed)
        own: Callable[[Call], Answer] | None = None
        if call.service == "ec2":
            parts = (self._instances, self._groups, self._checks, self._volumes)
            own = next((own for part in parts if (own := part.serves(call.action))), None)
        return own(call) if own else self._ask_moto(call)

    def _ask_moto(self, call: Call) -> Answer:
        environ = dict(call.environ)
        environ["wsgi.input"] = io.BytesIO(call.body)
        environ["CONTENT_LENGTH"] = str(len(call.body))
        content, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        return Answer(int(status.split()[0]), b"".join(content), headers.get("Content-Type", "text/xml"))

    def _control(self, what: str, body: bytes) -> Answer:
        asked = json.loads(body or b"{}")
        match what:
            case "world":
                block = network.NETWORK if self._park else None
                return Answer.of_json(world.make(asked["account"], asked["region"], block))
            case "credentials":
                return Answer.of_json({"access_key": OWN_KEY, "secret_key": OWN_SECRET})
            case "role":
                roles.make(
                    asked["arn"], asked.get("trust") or permissions.trust(asked.get("external_id")), _permissions(asked)
                )
            case "profile":
                world.make_profile(asked["account"], asked["name"])
            case "fault":
                times, action = asked.pop("times", 1), asked.pop("action")
                self._faults.plan(action, Fault(**asked), times)
            case "no-faults":
                self._faults.forget()
            case "keep-limits":
                self._limits.keep()
            case "came":
                return Answer.of_json(self._limits.came(asked["action"]))
            case "pace":
                self._states.pace = Pace(**{**asdict(self._states.pace), **asked})
            case "lose":
                if reason := asked.get("reason"):
                    self._states.give_reason(asked["instance"], reason["code"], reason["message"])
                self._instances.move(asked["instance"], "shutting-down", 0, "terminated")
            case "impair":
                self._checks.fail(asked["instance"], asked["check"], asked["since"])
            case "host" if self._park:
                self._park.befall(asked["instance"], asked["what"], asked.get("seconds", 120.0))
            case "hosts" if self._park:
                return Answer.of_json(self._park.all())
            case "console" if self._park:
                return Answer.of_json(self._park.console(asked["instance"]))
            case "certificate" if self._park:
                return Answer.of_json(self._park.certificate)
            case "outbound-only" if self._park:
                network.refuse_connections()
            case "connections-tried" if self._park:
                return Answer.of_json(network.connections_tried())
            case "instances":
                return Answer.of_json(self._states.all())
            case "volumes":
                return Answer.of_json(world.volumes(asked["account"], asked["region"]))
            case "keep-volume":
                world.keep_volume(asked["account"], asked["region"], asked["instance"])
            case "groups":
                return Answer.of_json(world.groups(asked["account"], asked["region"]))
            case "group":
                world.make_group(asked["account"], asked["region"], asked["name"])
            case "way-out":
                world.change_way_out(asked["account"], asked["region"], asked["to"])
            case "tags":
                return Answer.of_json(world.tags(asked["account"], asked["region"], asked["resource"]))
            case "calls":
                return Answer.of_json(self._faults.calls())
            case _:
                return Answer(404, b"{}", "application/json")
        return Answer.of_json({})


def _permissions(asked: dict[str, Any]) -> str | None:
    """Of a role: those that are given, or those that Updraft prints for an account."""
    if account := asked.get("account"):
        config = {**account["config"], "role_arn": asked["arn"]}
        vpc = world.vpc_of(asked["arn"].split(":")[4], config["region"], config["subnets"])
        return permissions.printed({"principal": roles.OWN_ROLE, "queue_types": [], **account, "config": config}, vpc)
    given: str | None = asked.get("permissions")
    return given


def _url(environ: dict[str, Any]) -> str:
    query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
    return f"http://{environ['HTTP_HOST']}{environ['PATH_INFO']}{query}"


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    named = {key[5:]: value for key, value in environ.items() if key.startswith("HTTP_")}
    named |= {key: environ[key] for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)}
    return {key.lower().replace("_", "-"): value for key, value in named.items()}


def _send(answer: Answer, start_response: Any) -> list[bytes]:
    headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))]
    start_response(f"{answer.status} Answer", headers)
    return [answer.body]


def _cut(start_response: Any) -> Iterator[bytes]:
    """Less than was promised, and the end of the connection."""
    start_response("200 Answer", [("Content-Type", "text/xml"), ("Content-Length", "1000")])
    yield b"<"
