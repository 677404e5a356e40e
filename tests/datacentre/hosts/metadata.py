"""The metadata service: 169.254.169.254 as every host sees it, each with its own answers.

It is in a namespace of its own on the bridge, so that a host's routes decide who of it gets there, as on EC2. Whoever
asks is known by his address. (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html)
"""

from __future__ import annotations

import datetime
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from datacentre.hosts import network
from datacentre.hosts.identity import Notary, document
from datacentre.hosts.machine import Machine

LONGEST_SESSION = 21600


class Metadata:
    def __init__(self, notary: Notary) -> None:
        self._notary = notary
        self._machines: dict[str, Machine] = {}
        self._sessions: dict[str, tuple[str, float]] = {}
        self._notices: dict[str, str] = {}

    def serve(self, listening: socket.socket) -> None:
        server = ThreadingHTTPServer(("", 0), _handler(self), bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="metadata", daemon=True).start()

    def tell(self, machine: Machine) -> None:
        self._machines[machine.address] = machine

    def forget(self, machine: Machine) -> None:
        # Its address may be another's by now.
        if self._machines.get(machine.address) is machine:
            del self._machines[machine.address]
        self._notices.pop(machine.instance, None)

    def give_notice(self, machine: Machine, seconds: float) -> None:
        """A spot instance is told when it will be ended."""
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        self._notices[machine.instance] = at.strftime("%Y-%m-%dT%H:%M:%SZ")

    def of(self, address: str) -> Machine | None:
        return self._machines.get(address)

    def open_session(self, machine: Machine, seconds: int) -> str:
        session = secrets.token_urlsafe(42)
        self._sessions[session] = (machine.instance, time.monotonic() + seconds)
        return session

    def may_ask(self, machine: Machine, session: str | None) -> bool:
        if session is None:
            return not machine.needs_session
        instance, until = self._sessions.get(session, ("", 0.0))
        return instance == machine.instance and time.monotonic() < until

    def answer(self, machine: Machine, path: str) -> bytes | None:
        found = _found(self._tree(machine), [part for part in path.split("/") if part])
        if callable(found):
            found = found()
        if isinstance(found, dict):
            names = sorted(f"{name}/" if isinstance(inner, dict) else name for name, inner in found.items())
            return "\n".join(names).encode()
        return found.encode() if isinstance(found, str) else found

    def _tree(self, machine: Machine) -> dict[str, Any]:
        told = document(machine)
        tree: dict[str, Any] = {
            "meta-data": self._meta_data(machine),
            "dynamic": {
                "instance-identity": {
                    "document": told,
                    "signature": lambda: self._notary.signature(told),
                    "rsa2048": lambda: self._notary.rsa2048(told),
                }
            },
        }
        return {**tree, "user-data": machine.user_data} if machine.user_data else tree

    def _meta_data(self, machine: Machine) -> dict[str, Any]:
        data: dict[str, Any] = {
            "ami-id": machine.image,
            "hostname": machine.host_name,
            "instance-id": machine.instance,
            "instance-type": machine.kind,
            "local-hostname": machine.host_name,
            "local-ipv4": machine.address,
            "mac": machine.mac,
            "network": {"interfaces": {"macs": {machine.mac: _interface(machine)}}},
            "placement": {"availability-zone": machine.zone, "region": machine.region},
        }
        if notice := self._notices.get(machine.instance):
            data["spot"] = {
                "instance-action": json.dumps({"action": "terminate", "time": notice}),
                "termination-time": notice,
            }
        roles = {role.name: _credentials(machine, role.arn) for role in _roles(machine)}
        return {**data, "iam": {"security-credentials": roles}} if roles else data


def _interface(machine: Machine) -> dict[str, Any]:
    return {
        "device-number": "0",
        "local-hostname": machine.host_name,
        "local-ipv4s": machine.address,
        "mac": machine.mac,
        "subnet-ipv4-cidr-block": network.NETWORK,
        "vpc-id": machine.vpc,
    }


def _found(tree: Any, parts: list[str]) -> Any:
    for part in parts:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _roles(machine: Machine) -> list[Any]:
    profiles = iam_backends[machine.account]["aws"].get_instance_profiles()
    return [role for profile in profiles if profile.name == machine.profile for role in profile.roles]


def _credentials(machine: Machine, role: str) -> Callable[[], str]:
    def now() -> str:
        given: Any = sts_backends[machine.account]["global"].assume_role(
            region_name=machine.region,
            role_session_name=machine.instance,
            role_arn=role,
            policy="",
            duration=3600,
            external_id="",
        )
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": given.access_key_id,
                "SecretAccessKey": given.secret_access_key,
                "Token": given.session_token,
                "Expiration": given.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    return now


def _handler(metadata: Metadata) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            machine = metadata.of(self.client_address[0])
            if self.path != "/latest/api/token" or machine is None:
                return self.answer(404, b"")
            if "X-Forwarded-For" in self.headers:
                return self.answer(403, b"")
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if not seconds.isdigit() or not 1 <= int(seconds) <= LONGEST_SESSION:
                return self.answer(400, b"")
            # No further than the instance allows.
            self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, machine.hop_limit)
            return self.answer(200, metadata.open_session(machine, int(seconds)).encode())

        def do_GET(self) -> None:
            machine = metadata.of(self.client_address[0])
            if machine is None:
                return self.answer(404, b"")
            if not metadata.may_ask(machine, self.headers.get("X-aws-ec2-metadata-token")):
                return self.answer(401, b"")
            _, _, path = self.path.lstrip("/").partition("/")
            told = metadata.answer(machine, path)
            return self.answer(404, b"") if told is None else self.answer(200, told)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
