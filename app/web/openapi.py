"""The OpenAPI document: what FastAPI generates, with what generated clients need put right."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.web.problems import MEDIA_TYPE, Problem, ProblemError

_REF = {"schema": {"$ref": "#/components/schemas/Problem"}}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused; nothing was changed.", "content": {MEDIA_TYPE: _REF}},
    "5XX": {"description": "Failed; nothing was lost. Repeat after Retry-After.", "content": {MEDIA_TYPE: _REF}},
}
# Read by `Route` for every POST, so no route declares it.
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repeat of this request safe for 24 hours: it gets the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_METHODS = {"get", "put", "post", "patch", "delete"}


def install(app: FastAPI) -> None:
    """Make `app.openapi()` answer the finished document; it is built once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _finished(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


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
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in _METHODS:
                _say_scopes(operation)
            if method == "post":
                operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IdempotencyKey"})
    _strip_titles(document["paths"])
    _strip_titles(schemas)
    return document


def _say_scopes(operation: dict[str, Any]) -> None:
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
