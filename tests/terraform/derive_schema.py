"""Writes `aws-schema.json`: of AWS's provider, what the resources in use take and have.

    python derive_schema.py DIRECTORY

DIRECTORY is the unpacked npm package `@cdktf/provider-aws`, generated from the provider's own schema. What it does not
say (limits of lists, sensitive values) is missing here, too. Run it again when the tree uses another resource.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TREE = HERE.parents[1] / "terraform"
ATTRIBUTE = re.compile(
    r"^\s+(\w+): \{\s*value: (.*?),\s*isBlock: (true|false),\s*type: \"(\w+)\",\s*storageClassType: \"(\w*)\"",
    re.M | re.S,
)
SIMPLE = {"string": "string", "boolean": "bool", "number": "number"}
COLLECTIONS = {"List": "list", "Map": "map", "Set": "set"}
GETTERS = {
    "String": "string",
    "Boolean": "bool",
    "Number": "number",
    "List": ["list", "string"],
    "StringMap": ["map", "string"],
    "NumberList": ["list", "number"],
}

Block = dict[str, Any]


def used() -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {"resource": set(), "data": set()}
    for file in TREE.rglob("*.tf"):
        for kind, name in re.findall(r'^(resource|data) "(aws_\w+)"', file.read_text(), re.M):
            kinds[kind].add(name)
    return kinds


def type_of(kind: str, storage: str) -> Any:
    if kind == "simple":
        return SIMPLE[storage]
    element = next((SIMPLE[name] for name in SIMPLE if storage.startswith(name)), None)
    return [kind, element] if element else "dynamic"


def required_of(declarations: str, interface: str) -> set[str]:
    found = re.search(rf"export interface {interface} (?:extends [\w.]+ )?\{{(.*?)^\}}", declarations, re.M | re.S)
    names = re.findall(r"^\s+readonly (\w+): ", found[1], re.M) if found else []
    return {re.sub(r"([A-Z])", r"_\1", name).lower() for name in names}


def block(source: str, declarations: str, body: str, interface: str) -> Block:
    required = required_of(declarations, interface)
    attributes: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for name, value, is_block, kind, storage in ATTRIBUTE.findall(body):
        # Generated names put a number in front of nothing: `ipv6CidrBlock` is `ipv6_cidr_block`.
        needed = name in required or name.replace("_", "") in {each.replace("_", "") for each in required}
        mapper = re.search(r"(\w+)ToHclTerraform", value.replace("listMapperHcl", ""))
        if is_block == "true" and mapper:
            blocks[name] = nested(source, declarations, mapper[1], kind, "apper" not in value, needed)
        else:
            attributes[name] = {"type": type_of(kind, storage), **({"required": True} if needed else {})}
    return {"attributes": attributes, "blocks": blocks}


def nested(source: str, declarations: str, mapper: str, kind: str, single: bool, needed: bool) -> Block:
    function = re.search(rf"^function {mapper}ToHclTerraform\(struct\) \{{(.*?)^\}}", source, re.M | re.S)
    assert function, mapper
    interface = mapper[0].upper() + mapper[1:]
    inner = block(source, declarations, function[1], interface)
    nesting = {"struct": "single", "set": "set"}.get(kind, "list")
    return {**inner, "nesting": nesting, "min": int(needed), "max": int(single and nesting != "single")}


def schema(package: Path, name: str, data: bool) -> Block:
    directory = name.removeprefix("aws_").replace("_", "-")
    folder = package / "lib" / (f"data-aws-{directory}" if data else directory)
    source, declarations = (folder / "index.js").read_text(), (folder / "index.d.ts").read_text()
    body = source[source.rindex("synthesizeHclAttributes()") :]
    config = re.search(r"export interface (\w+Config) extends cdktf", declarations)
    assert config, name
    found = block(source, declarations, body, config[1])
    resource = source[source.rindex("extends cdktf.Terraform") :]
    computed = re.findall(r"this\.get(\w+?)Attribute\('(\w+)'\)", resource)
    for kind, attribute in computed:
        if kind in GETTERS:
            found["attributes"].setdefault(attribute, {"type": GETTERS[kind], "computed": True})
    for attribute in re.findall(r"this\._(\w+) = new \w+?(?:List|OutputReference|Map)\(this, \"", resource):
        snake = re.sub(r"(?<!^)([A-Z])", r"_\1", attribute).lower()
        if snake not in found["blocks"]:
            found["attributes"].setdefault(snake, {"type": ["list", "dynamic"], "computed": True})
    return found


def main() -> None:
    package = Path(sys.argv[1])
    schemas = {
        kind: {name: schema(package, name, kind == "data") for name in sorted(names)} for kind, names in used().items()
    }
    text = json.dumps(schemas, sort_keys=True, separators=(",", ":"))
    # One resource a line: what changes can be read.
    (HERE / "aws-schema.json").write_text(re.sub(r'("aws_\w+":)', r"\n\1", text) + "\n")


if __name__ == "__main__":
    main()
