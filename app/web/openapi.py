"""The OpenAPI document: what FastAPI generates, with what generated clients need put right."""

import gzip
import hashlib
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.web.admission import declared_cost
from app.web.etag import unchanged
from app.web.openapi_examples import exemplify
from app.web.openapi_fields import describe_field
from app.web.openapi_headers import FROM_STANDBY, HEADERS, declare, refer
from app.web.openapi_shared import answers_by_base, fields, operations, share
from app.web.openapi_words import describe
from app.web.outside import BASE
from app.web.packing import takes_gzip
from app.web.problems import MEDIA_TYPE, Problem, ProblemError

_REF = {"schema": {"$ref": "#/components/schemas/Problem"}}
_LATER = refer("Retry-After")
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
# The body reader takes no integer beyond what every JSON reader keeps exactly, and none is sent.
_LARGEST = 2**53 - 1
_KEPT_DOCUMENTS = 8
# Null would have to be one of them.
_WORDS = {"enum", "const"}
# What is said in one order packs better.
_ORDER = {
    word: place
    for place, word in enumerate((
        "type", "const", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "items",
        "minItems", "maxItems", "properties", "required", "additionalProperties", "default", "examples", "description",
    ), 1)
}  # fmt: skip
_BOUNDS = ("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern")


def install(app: FastAPI) -> None:
    """Make `app.openapi()` answer the finished document, and `/openapi.json` its text; both are made once for each
    place that it is called at. (Writing it took 17 ms, for anybody who asked.)"""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _finished(app)
        return app.openapi_schema

    @lru_cache(maxsize=_KEPT_DOCUMENTS)
    def written(server: str) -> tuple[bytes, bytes, str]:
        document = app.openapi()
        text = orjson.dumps({**document, "servers": [{**document["servers"][0], "url": server or "/"}]})
        return text, gzip.compress(text, mtime=0), f'"{hashlib.sha256(text).hexdigest()[:16]}"'

    async def served(request: Request) -> Response:
        text, packed, tag = written(request.app.state.settings.public_origin + BASE.get())
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if unchanged(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        if takes_gzip(request):
            return Response(packed, headers={**headers, "Content-Encoding": "gzip"}, media_type="application/json")
        return Response(text, headers=headers, media_type="application/json")

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
    bases = _add_schemas(document["components"]["schemas"])
    document["components"]["headers"] = deepcopy(HEADERS)
    for path in document["paths"].values():
        if "post" in path:
            path["post"].setdefault("parameters", []).append(dict(_IDEMPOTENCY_KEY))
    _say_standby(app, document)
    for operation in operations(document):
        _say_scopes(operation)
        _say_parameters(operation)
        for name in [name for name in operation if name.startswith("x-")]:
            del operation[name]
    declare(document, bases)
    _tidy(document)
    for operation in operations(document):
        exemplify(operation)
    share(document, bases)
    for node in list(_objects(document["components"]["schemas"])):
        _join_null(node)
    _say_fields(document["components"]["schemas"])
    for node in list(_objects([document["paths"], document["components"]])):
        _put_in_order(node)
    return document


def _say_standby(app: FastAPI, document: dict[str, Any]) -> None:
    for route in app.routes:
        if isinstance(route, APIRoute) and (cost := declared_cost(route.endpoint)) and cost.standby:
            operation = document["paths"][route.path_format]["get"]
            operation.setdefault("parameters", []).append(dict(FROM_STANDBY))
            operation["responses"]["200"]["headers"] = refer("Age")


def _add_schemas(schemas: dict[str, Any]) -> dict[str, str]:
    """Adds those of problems, and what several answers are made of. Returns which answer is made of which."""
    bases = {name: base for name, base in answers_by_base() if name in schemas}
    models: list[type[BaseModel]] = [Problem, ProblemError, *bases.values()]
    for model in models:
        if model.__name__ not in schemas:
            schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas[model.__name__].pop("$defs", None)
    return {name: base.__name__ for name, base in bases.items()}


def _tidy(document: dict[str, Any]) -> None:
    _strip_titles(document["paths"])
    _strip_titles(document["components"]["schemas"])
    for node in list(_objects([document["paths"], document["components"]])):
        _say_names(node)
        if node.get("type") == "integer":
            node.setdefault("format", "int64")
        if node.get("type") == "string" and "$ref" in node:
            # FastAPI's word for what is no JSON; the reference says what it is.
            del node["type"]
        _say_forms(node)
        _say_alternatives(node, document["components"]["schemas"])
    for node in list(_sent(document)):
        _say_sizes(node)


def _say_forms(node: dict[str, Any]) -> None:
    """Bytes are no text with a length, and a word has no bounds; generators that know no `const` read the `enum`."""
    if node.get("format") == "binary" or "contentMediaType" in node or "const" in node:
        for bound in _BOUNDS:
            node.pop(bound, None)
    if isinstance(node.get("const"), str):
        node["enum"] = [node["const"]]


def _say_alternatives(node: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Of several objects only one fits: they are closed and need other fields."""
    kinds = [schemas.get(str(kind.get("$ref", "")).rpartition("/")[2], kind) for kind in node.get("anyOf", ())]
    if sum("properties" in kind for kind in kinds) > 1:
        node["oneOf"] = node.pop("anyOf")


def _put_in_order(node: dict[str, Any]) -> None:
    """Of the words of a schema; a field that is called `type` is a schema itself."""
    if isinstance(node.get("type"), str | list) or isinstance(node.get("$ref"), str):
        words = sorted(node.items(), key=lambda item: _ORDER.get(item[0], 0))
        node.clear()
        node.update(words)


def _say_fields(schemas: dict[str, Any]) -> None:
    """A field that says nothing of itself, and whose schema has no words of its own either."""
    for schema, name, field in fields(schemas):
        refers = schemas.get(str(field.get("$ref", "")).rpartition("/")[2], {})
        if "description" not in field | refers and (words := describe_field(schema, name)):
            field["description"] = words


def _join_null(node: dict[str, Any]) -> None:
    """What may be null says so in its type, which is shorter than an alternative of its own."""
    kinds = [kind for kind in node.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1 < len(node["anyOf"]) and isinstance(kinds[0].get("type"), str) and not _WORDS & kinds[0].keys():
        del node["anyOf"]
        node |= {**kinds[0], **node, "type": [kinds[0]["type"], "null"]}


def _say_parameters(operation: dict[str, Any]) -> None:
    """A list is written `tag=a,b`, and what has fields `custom_fields[plan]=pro`. Nothing in a URL or header is null,
    and FastAPI describes a parameter and its schema with the same words."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        if not parameter.get("required", True):
            # It is what is meant where nothing is said.
            del parameter["required"]
        if "description" not in parameter and (words := describe(parameter["name"], parameter["in"])):
            parameter["description"] = words
        if schema.get("description") == parameter.get("description"):
            schema.pop("description", None)
        if kinds := [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]:
            schema |= kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        elif schema.get("type") == "object":
            parameter |= {"style": "deepObject", "explode": True}


def _objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


def _sent(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema of what callers send."""
    schemas = document["components"]["schemas"]
    places = [[each.get("parameters"), each.get("requestBody")] for each in operations(document)]
    found: set[str] = set()
    while places:
        for node in _objects(places.pop()):
            yield node
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in found:
                found.add(name)
                places.append(schemas[name])


def _say_sizes(node: dict[str, Any]) -> None:
    """The bounds that every integer has that is sent, whoever forgot to say so."""
    if node.get("type") == "integer" and not {"const", "enum"} & node.keys():
        if "exclusiveMinimum" not in node:
            node.setdefault("minimum", -_LARGEST)
        if "exclusiveMaximum" not in node:
            node.setdefault("maximum", _LARGEST)


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
