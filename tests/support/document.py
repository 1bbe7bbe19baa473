"""The OpenAPI document with everything where it is meant: no operation refers to what it shares with others, and every
object has all of its properties."""

from typing import Any

Node = dict[str, Any]
_METHODS = ("get", "put", "post", "patch", "delete")


def at(document: Node, node: Node) -> Node:
    while ref := node.get("$ref"):
        found: Any = document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def plain(document: Node) -> Node:
    paths = {
        path: {name: _alone(document, each) if name in _METHODS else each for name, each in item.items()}
        for path, item in document["paths"].items()
    }
    schemas = {name: _whole(document, schema) for name, schema in document["components"]["schemas"].items()}
    return {**document, "paths": paths, "components": {**document["components"], "schemas": schemas}}


def _alone(document: Node, operation: Node) -> Node:
    responses = {status: at(document, response) for status, response in operation["responses"].items()}
    found = {**operation, "responses": responses}
    if "parameters" in operation:
        found["parameters"] = [at(document, each) for each in operation["parameters"]]
    return found


def _whole(document: Node, schema: Node) -> Node:
    if "allOf" not in schema:
        return schema
    whole: Node = {"type": "object", "properties": {}, "required": []}
    for part in schema["allOf"]:
        found = _whole(document, at(document, part))
        whole["properties"] |= found["properties"]
        whole["required"] += found.get("required", [])
    return whole | {name: value for name, value in schema.items() if name != "allOf"}
