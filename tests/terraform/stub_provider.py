"""A provider of AWS that knows what resources take, and nothing else: enough for `terraform validate` and for mocks.

It serves `aws-schema.json` over the plugin protocol, version 5 (terraform's `docs/plugin-protocol/tfplugin5.10.proto`).
Of that only the schemas are ever answered with content, so its messages are written here by hand.
"""

from __future__ import annotations

import json
import os
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = "tfplugin5.Provider"
ADDRESS = "registry.terraform.io/hashicorp/aws"
# All that `validate` and mocks call; an empty answer means "no objections".
SILENT = ["PrepareProviderConfig", "ValidateResourceTypeConfig", "ValidateDataSourceConfig", "Configure", "Stop"]
NESTING = {"single": 1, "list": 2, "set": 3}


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def number(place: int, value: int) -> bytes:
    return varint(place << 3) + varint(value) if value else b""


def chunk(place: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(place << 3 | 2) + varint(len(content)) + content


def attribute(name: str, known: dict[str, Any]) -> bytes:
    required, computed = known.get("required", False), known.get("computed", False)
    # What may be left out may be known after apply as well: the package does not say which.
    optional = not required and not computed
    flags = number(4, int(required)) + number(5, int(optional)) + number(6, int(not required))
    return chunk(1, name) + chunk(2, json.dumps(known["type"])) + flags


def block(known: dict[str, Any]) -> bytes:
    attributes = (chunk(2, attribute(name, each)) for name, each in known["attributes"].items())
    return b"".join(attributes) + b"".join(chunk(3, nested(name, each)) for name, each in known["blocks"].items())


def nested(name: str, known: dict[str, Any]) -> bytes:
    limits = number(4, known["min"]) + number(5, known["max"])
    return chunk(1, name) + chunk(2, block(known)) + number(3, NESTING[known["nesting"]]) + limits


def schema(known: dict[str, Any]) -> bytes:
    return chunk(2, block(known))


def entries(place: int, schemas: dict[str, Any]) -> bytes:
    return b"".join(chunk(place, chunk(1, name) + chunk(2, schema(known))) for name, known in schemas.items())


def answer() -> bytes:
    schemas = json.loads((Path(__file__).parent / "aws-schema.json").read_text())
    provider = {"attributes": {"region": {"type": "string"}}, "blocks": {}}
    return chunk(1, schema(provider)) + entries(2, schemas["resource"]) + entries(3, schemas["data"])


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """The environment in which terraform uses it."""
    schemas = answer()
    methods = {name: grpc.unary_unary_rpc_method_handler(lambda *_: b"") for name in SILENT}
    methods["GetSchema"] = grpc.unary_unary_rpc_method_handler(lambda *_: schemas)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    where = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
    reattach = {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True, "Addr": where}
    try:
        yield {"TF_REATTACH_PROVIDERS": json.dumps({ADDRESS: reattach}), "TF_CLI_CONFIG_FILE": os.devnull}
    finally:
        server.stop(None)
