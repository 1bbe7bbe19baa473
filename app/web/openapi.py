"""The OpenAPI document: what FastAPI generates, with what generated clients need put right."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from app.web.problems import MEDIA_TYPE, Problem, ProblemError

_REF = {"schema": {"$ref": "#/components/schemas/Problem"}}
_LATER = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused; nothing was changed.", "headers": _LATER, "content": {MEDIA_TYPE: _REF}},
    "5XX": {
        "description": "Failed; nothing was lost. Repeat after Retry-After.",
        "headers": _LATER,
        "content": {MEDIA_TYPE: _REF},
    },
}
# Read by `Route` for every POST, so no route declares it.
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repeat of this request safe for 24 hours: it gets the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_HEADERS = {
    "RetryAfter": {
        "description": "With 409, 429 and 503: the seconds after which to ask again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": "Where callers are limited: what is left to this one, and until when.",
        "schema": {"type": "string", "maxLength": 200},
    },
    "RateLimitPolicy": {
        "description": "Where callers are limited: how many requests, in how many seconds.",
        "schema": {"type": "string", "maxLength": 200},
    },
}
_LIMITS = {
    "RateLimit": {"$ref": "#/components/headers/RateLimit"},
    "RateLimit-Policy": {"$ref": "#/components/headers/RateLimitPolicy"},
}
# The body reader takes no integer beyond what every JSON reader keeps exactly, and none is sent.
_LARGEST = 2**53 - 1
_LENGTHS = {"uuid": 36, "date-time": 35, "date": 10}
_METHODS = {"get", "put", "post", "patch", "delete"}


def install(app: FastAPI) -> None:
    """Make `app.openapi()` answer the finished document, and `/openapi.json` its text; both are made once. (Writing it
    took 17 ms, for anybody who asked.)"""
    text: list[bytes] = []

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _finished(app)
        return app.openapi_schema

    async def served(_: Request) -> Response:
        if not text:
            text.append(orjson.dumps(app.openapi()))
        return Response(text[0], media_type="application/json")

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_route("/openapi.json", served, methods=["GET"], include_in_schema=False)


def _finished(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        servers=app.servers,
        license_info=app.license_info,
        contact=app.contact,
        separate_input_output_schemas=False,
    )
    schemas = document["components"]["schemas"]
    for model in (Problem, ProblemError):
        schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas[model.__name__].pop("$defs", None)
    document["components"]["parameters"] = {"IdempotencyKey": _IDEMPOTENCY_KEY}
    document["components"]["headers"] = deepcopy(_HEADERS)
    for path in document["paths"].values():
        for method in _METHODS & path.keys():
            _say_scopes(path[method])
            _say_limits(path[method])
            if method == "post":
                path[method].setdefault("parameters", []).append({"$ref": "#/components/parameters/IdempotencyKey"})
    _strip_titles(document["paths"])
    _strip_titles(schemas)
    for node in list(_objects([document["paths"], document["components"]])):
        _say_sizes(node)
        _say_names(node)
        if node.get("type") == "string" and "$ref" in node:
            # FastAPI's word for what is no JSON; the reference says what it is.
            del node["type"]
    return document


def _say_limits(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        if status[0] in "24":
            response["headers"] = {**response.get("headers", {}), **_LIMITS}


def _objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


def _say_sizes(node: dict[str, Any]) -> None:
    """The bounds that every integer and every text of a known form has, whoever forgot to say so."""
    if node.get("type") == "integer":
        node.setdefault("format", "int64")
        if "exclusiveMinimum" not in node:
            node.setdefault("minimum", -_LARGEST)
        if "exclusiveMaximum" not in node:
            node.setdefault("maximum", _LARGEST)
    elif node.get("type") == "string" and (length := _LENGTHS.get(node.get("format", ""))):
        node.setdefault("maxLength", length)


def _say_names(node: dict[str, Any]) -> None:
    """pydantic says what fields of a certain name hold, and so allows any other. Generators know no patterns either."""
    patterns = node.get("patternProperties")
    if node.get("type") == "object" and isinstance(patterns, dict):
        [(pattern, value)] = patterns.items()
        del node["patternProperties"]
        node |= {"propertyNames": {"type": "string", "pattern": pattern}, "additionalProperties": value}


def _say_scopes(operation: dict[str, Any]) -> None:
    # What is open to all says so: no security at all reads as an oversight.
    operation.setdefault("security", [])
    scopes = [scope for entry in operation.get("security", ()) for names in entry.values() for scope in names]
    if scopes:
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{'`, `'.join(scopes)}`".strip()


def _strip_titles(node: object) -> None:
    """Generated titles repeat the names and make client generators invent types. A property called title is a dict."""
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        for value in node.values():
            _strip_titles(value)
    elif isinstance(node, list):
        for value in node:
            _strip_titles(value)
