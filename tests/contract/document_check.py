"""A check for schemathesis: what fits the schemas of the document is not refused for its form."""

import json
import uuid
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

# What pydantic calls the refusals that a JSON schema can express. Not `int_type`: to JSON Schema 1.0 is an integer.
_OF_FORM = {
    "missing", "extra_forbidden", "enum", "literal_error", "string_type", "bool_type", "float_type",
    "list_type", "tuple_type", "dict_type", "model_type", "model_attributes_type", "none_required", "string_too_long",
    "string_too_short", "string_pattern_mismatch", "too_long", "too_short", "greater_than", "greater_than_equal",
    "less_than", "less_than_equal", "int_parsing", "bool_parsing", "uuid_parsing", "union_tag_invalid",
    "union_tag_not_found", "finite_number",
}  # fmt: skip

# An e-mail is sent as bytes.
schemathesis.serializer.alias("message/rfc822", "application/octet-stream")


@schemathesis.check
def what_the_document_allows_is_well_formed(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    # What leads on to this request took an id from an answer where it was null.
    if "None" in map(str, (case.path_parameters or {}).values()):
        return
    errors = response.json().get("errors") or []
    refused = [error for error in errors if error["code"] in _OF_FORM and not _is_defined_later(error["pointer"])]
    assert not refused, f"the document allows what is refused: {refused}"


def _is_defined_later(pointer: str) -> bool:
    """Which custom fields there are, an installation says and no document."""
    return pointer.startswith("/query/custom_fields.")


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """The same few keys would come again and again with other requests, and hide what becomes of those."""
    if case.headers and case.meta and case.meta.generation.mode.is_positive and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid.uuid4().hex


@schemathesis.serializer("application/jsonl")
def lines(_context: schemathesis.SerializationContext, value: object) -> bytes:
    """A body that goes by lines, of one line."""
    return f"{json.dumps(value)}\n".encode()
