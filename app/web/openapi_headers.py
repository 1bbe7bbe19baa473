"""What the OpenAPI document says of the headers that no route declares: versions, conditions, places and pages."""

import re
from collections.abc import Mapping
from typing import Any

from app.web.etag import KNOWN, LONGEST_HEADER
from app.web.openapi_shared import operations

Node = dict[str, Any]
HEADERS: dict[str, Node] = {
    "RetryAfter": {
        "description": "With 409, 429 and 503: the seconds after which to ask again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": "Where callers are limited: what is left to this one, until when, and how many more of their "
        "requests may be answered at once.",
        "schema": {"type": "string", "maxLength": 200},
    },
    "RateLimitPolicy": {
        "description": "Where callers are limited: how many requests, in how many seconds, and how many at once.",
        "schema": {"type": "string", "maxLength": 200},
    },
    "ETag": {
        "description": "The version, for `If-Match` and `If-None-Match`. Absent where more was included.",
        "schema": {"type": "string", "maxLength": 100},
    },
    "Location": {
        "description": "Where that is which was made.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": 'Where there is more: `<…>; rel="next"` (RFC 8288).',
        "schema": {"type": "string"},
    },
    "Age": {
        "description": "Where a standby answered: by how many seconds it is behind at most.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "NextPosition": {
        "description": "Where to go on, as `after`.",
        "schema": {"type": "string", "maxLength": 64},
    },
}
FROM_STANDBY: Node = {
    "name": "Cache-Control",
    "in": "header",
    "required": False,
    "description": "`no-cache`: the newest figures, also where a standby has some that are seconds old.",
    "schema": {"type": "string", "maxLength": LONGEST_HEADER},
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": KNOWN,
    "schema": {"type": "string", "maxLength": LONGEST_HEADER},
}
_CONDITION = "If-Match"
_MERGE_PATCH = "application/merge-patch+json"


def refer(*names: str) -> dict[str, Node]:
    """Headers by their names, for the `responses` of a route and here."""
    return {name: {"$ref": f"#/components/headers/{name.replace('-', '')}"} for name in names}


_LIMITS = refer("RateLimit", "RateLimit-Policy")


def declare(document: Node, bases: Mapping[str, str]) -> None:
    """`bases`: which answer is made of which."""
    for operation in operations(document):
        _declare_limits(operation)
        if "cursor" in _parameters(operation):
            _add(operation, "200", "Link")
    _declare_versions(document, bases)
    _declare_places(document, bases)
    for path in document["paths"].values():
        if content := path.get("patch", {}).get("requestBody", {}).get("content"):
            content[_MERGE_PATCH] = content["application/json"]


def _declare_limits(operation: Node) -> None:
    for status, response in operation["responses"].items():
        if status[0] in "24":
            response["headers"] = {**response.get("headers", {}), **_LIMITS}
        if response["description"] == "Successful Response":
            response["description"] = "Done."


def _declare_versions(document: Node, bases: Mapping[str, str]) -> None:
    """What can be changed under a condition has an ETag wherever it is the answer, and is not sent twice."""
    versioned = {
        _answer(path[method])
        for path in document["paths"].values()
        for method in ("patch", "put")
        if _CONDITION in _parameters(path.get(method, {}))
    }
    for path in document["paths"].values():
        for method, operation in path.items():
            if _base(_answer(operation), bases) in versioned:
                for status in operation["responses"]:
                    if status[0] == "2":
                        _add(operation, status, "ETag")
                if method == "get":
                    _declare_unchanged(operation)


def _declare_unchanged(operation: Node) -> None:
    operation.setdefault("parameters", []).append(dict(_IF_NONE_MATCH))
    operation["responses"]["304"] = {"description": "Not modified.", "headers": {**refer("ETag"), **_LIMITS}}


def _declare_places(document: Node, bases: Mapping[str, str]) -> None:
    """What is made and can be read by its id says where."""
    read = {
        re.sub(r"/\{\w+\}$", "", path): _base(_answer(item["get"]), bases)
        for path, item in document["paths"].items()
        if "get" in item and path.endswith("}")
    }
    for path, item in document["paths"].items():
        for operation in (item[method] for method in ("post", "put") if method in item):
            place = re.sub(r"/by-[\w-]+/\{\w+\}$", "", path)
            made = _base(_answer(operation, "201"), bases)
            if made and read.get(place) == made:
                _add(operation, "201", "Location")


def _parameters(operation: Node) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", ())}


def _answer(operation: Node, *statuses: str) -> str:
    """The schema of a success, where it has one."""
    for status in statuses or ("200", "201"):
        content = operation.get("responses", {}).get(status, {}).get("content", {})
        if ref := content.get("application/json", {}).get("schema", {}).get("$ref"):
            return str(ref).rpartition("/")[2]
    return ""


def _base(name: str, bases: Mapping[str, str]) -> str:
    return _base(bases[name], bases) if name in bases else name


def _add(operation: Node, status: str, header: str) -> None:
    response = operation["responses"][status]
    response["headers"] = {**response.get("headers", {}), **refer(header)}
