"""The OpenAPI document: what generated clients rest on."""

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from app.auth.roles import SCOPES
from app.web.openapi_fields import BY_NAME, ELSEWHERE
from app.web.openapi_shared import fields
from app.web.openapi_words import IN_PATH, IN_QUERY
from tests.auth.matrix import ANYBODY
from tests.conftest import openapi, served_openapi
from tests.support.openapi import METHODS, kind_of

# Objects of the callers' own making: nobody can say their fields.
_OPEN_OBJECTS = {
    ("ExportedEvent", "data"),
    ("TicketIn", "custom_fields"),
    ("TicketPatch", "custom_fields"),
    ("BulkTicketPatch", "custom_fields"),
    ("MacroChanges", "custom_fields"),
    ("TicketOut", "custom_fields"),
    ("ListedTicketOut", "custom_fields"),
    ("TicketFilter", "custom_fields"),
    ("TicketWithOut", "custom_fields"),
    ("CustomerIn", "attributes"),
    ("CustomerPatch", "attributes"),
    ("CustomerOut", "attributes"),
    ("CustomerUpsert", "attributes"),
    ("OrganizationIn", "attributes"),
    ("OrganizationPatch", "attributes"),
    ("OrganizationOut", "attributes"),
    ("OrganizationUpsert", "attributes"),
    ("ImportedTicket", "custom_fields"),
    ("ExplainIn", "facts"),
    ("OpenedTicketOut", "custom_fields"),
    # By language.
    ("SettingsPatch", "introductions"),
    ("AutomationSettings", "introductions"),
    # By segment.
    ("SettingsPatch", "segment_choices"),
    ("AutomationSettings", "segment_choices"),
    # By weekday and by date.
    ("BusinessCalendarOut", "hours"),
    ("BusinessCalendarIn", "date_hours"),
    ("BusinessCalendarPatch", "date_hours"),
    ("BusinessCalendarOut", "date_hours"),
    ("InlineCalendar", "date_hours"),
    ("SimulatedCalendar", "date_hours"),
}
# They only look, and take too much for a URL.
_READ_BY_POST = {
    "preview_segment", "suggest_articles", "create_stream_ticket", "compute_business_time", "explain_sla_policies",
    "compute_staffing_forecast",
}  # fmt: skip
# Who says where events are sent to must be allowed to read them.
_SCOPES_BESIDE = {
    **{id_: {"events:read"} for id_ in ("create_webhook", "update_webhook", "rotate_webhook_secret")},
    **{id_: {"agents:read"} for id_ in ("update_availability", "keep_availability", "claim_tickets", "release_ticket")},
}
_PAUSE_KIND = ("PauseOut", "properties", "kind")
# The scopes are data of a list, not an enum of the code.
_UNNAMED_ENUMS = {
    ("ApiKeyIn", "properties", "scopes", "items"),
    _PAUSE_KIND,
}


@pytest.fixture
def document() -> dict[str, Any]:
    return openapi()


@pytest.fixture
def written() -> dict[str, Any]:
    """As it is served: what is said once is referred to."""
    return served_openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _nodes(node: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        yield where, node
        for key, inner in node.items():
            yield from _nodes(inner, (*where, str(key)))
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from _nodes(inner, (*where, str(index)))


def test_the_document_says_what_it_is(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for name in ("title", "version", "summary", "description", "license"):
        assert document["info"][name]
    assert document["servers"]
    json.dumps(document, allow_nan=False)


def test_operation_ids_are_unique_and_plain_verb_noun(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(set(ids)) == len(ids)
    for id_ in ids:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", id_), id_
    verbs = {
        "create", "list", "get", "update", "delete", "upsert", "revoke", "import", "report", "compute", "explain",
        "reapply", "merge", "unmerge", "erase", "export", "keep", "withdraw", "follow", "unfollow", "hand", "confirm",
        "choose", "mark", "snooze", "preview", "suggest", "solve", "rotate", "test", "redeliver", "stream",
        "add", "remove", "claim", "release", "apply", "announce",
    }  # fmt: skip
    assert {id_.partition("_")[0] for id_ in ids} <= verbs


def test_every_operation_has_one_declared_tag_and_a_summary(document: dict[str, Any]) -> None:
    declared = {tag["name"] for tag in document["tags"]}
    assert all(tag["description"] for tag in document["tags"])
    used = set()
    for path, method, operation in _operations(document):
        [tag] = operation["tags"]
        used.add(tag)
        assert operation["summary"], (method, path)
        assert not operation["summary"].endswith(".")
    assert used == declared


def test_everything_under_v1_says_its_scope_and_nothing_else_needs_one(document: dict[str, Any]) -> None:
    assert list(document["components"]["securitySchemes"]) == ["bearer"]
    for path, method, operation in _operations(document):
        scopes = [scope for entry in operation.get("security", ()) for some in entry.values() for scope in some]
        if not path.startswith("/v1/") or operation["operationId"] in ANYBODY:
            assert not scopes
            continue
        assert scopes, (method, path)
        assert set(scopes) <= SCOPES
        verb = "read" if method == "get" or operation["operationId"] in _READ_BY_POST else "write"
        beside = _SCOPES_BESIDE.get(operation["operationId"], set())
        assert {scope for scope in scopes if not scope.endswith(f":{verb}")} == beside, (method, path)
        for scope in scopes:
            assert scope in operation["description"]


def test_every_operation_declares_its_problems(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        responses = operation["responses"]
        for status in ("4XX", "5XX"):
            assert responses[status]["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            }, (method, path)
        assert any(status.startswith("2") for status in responses)
        assert "422" not in responses
    schemas = document["components"]["schemas"]
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()
    assert schemas["Problem"]["required"] == ["type", "title", "status", "detail", "instance", "code"]


def test_every_post_takes_an_idempotency_key_and_nothing_else_does(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert ("Idempotency-Key" in names) == (method == "post"), (method, path)


def test_every_change_can_be_made_conditional(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        if method == "patch":
            assert "If-Match" in names, path


def test_every_list_is_a_named_page_with_a_limit_and_a_cursor(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for path, _, operation in _operations(document):
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
        if operation["operationId"] == "export_customer":
            continue  # one customer, with their tickets by pages
        assert name.endswith("Page") == ("cursor" in parameters), path
        if "cursor" in parameters:
            assert set(schemas[name]["required"]) - {"estimated_count"} == {"items", "next_cursor"}
            limit = parameters["limit"]["schema"]
            assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 200, 50)


def test_every_success_with_a_body_names_its_shape(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {})
            if status == "204":
                assert not content
            elif status.startswith("2") and "application/json" in content:
                assert content["application/json"]["schema"].keys() == {"$ref"}, (method, path)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or body["schema"].keys() == {"$ref"}, (method, path)


def test_enums_are_named_components(document: dict[str, Any]) -> None:
    for where, node in _nodes(document):
        if "enum" in node and "type" in node and "const" not in node:
            named = where[:2] == ("components", "schemas") and len(where) == 3
            # Which types of event have a payload in common is no word of its own.
            tag = where[-2:] == ("properties", "type") and where[2].endswith("Event")
            assert named or tag or where[2:] in _UNNAMED_ENUMS, where


def test_the_kind_of_a_pause_is_a_named_component_too(document: dict[str, Any]) -> None:
    schema, *rest = _PAUSE_KIND
    found = document["components"]["schemas"][schema]
    for name in rest:
        found = found[name]
    assert "enum" not in found


def test_no_object_is_without_a_shape_but_those_of_the_callers(document: dict[str, Any]) -> None:
    found = set()
    for where, node in _nodes(document["components"]["schemas"]):
        if kind_of(node) == "object" and "properties" not in node:
            assert where[1:2] == ("properties",), where
            found.add((where[0], where[2]))
    assert found <= _OPEN_OBJECTS
    for where, node in _nodes(document):
        # An empty schema takes anything. What is of no schema at all is a media type that is not JSON.
        assert node != {} or where[-1] in ("default", "mapping") or where[-2] in ("content", "Nothing"), where


def test_texts_and_lists_that_callers_send_are_bounded(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if not name.endswith(("In", "Patch", "Upsert", "Ref", "Filter", "Window")) and not name.startswith("Imported"):
            continue
        if "oneOf" in schema or "anyOf" in schema:
            continue
        assert schema.get("additionalProperties") is False, name
        for where, node in _nodes(schema["properties"], (name,)):
            if kind_of(node) == "string" and not {"enum", "format", "const", "pattern"} & node.keys():
                assert "maxLength" in node, where
            if kind_of(node) == "array" and "default" not in where:
                assert "maxItems" in node, where


# What is there only where it was asked for.
_ASKED_FOR = {"OpenedTicketOut": {"suggestions", "outlook"}}


def test_answers_have_no_optional_fields(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if name.endswith(("Out", "Page", "Made")) and "enum" not in schema:
            optional = set(schema["properties"]) - set(schema.get("required", []))
            assert optional == _ASKED_FOR.get(name, set()), name


def test_every_reference_leads_somewhere_and_no_title_is_generated(written: dict[str, Any]) -> None:
    document = written
    for where, node in _nodes(document):
        if isinstance(ref := node.get("$ref"), str):
            found: Any = document
            for part in ref.removeprefix("#/").split("/"):
                found = found[part]
        if "properties" not in where[-1:] and where[:1] != ("info",) and "example" not in where:
            assert not isinstance(node.get("title"), str), where


def test_nothing_is_left_over(written: dict[str, Any]) -> None:
    text = json.dumps(written)
    for kind in ("schemas", "parameters", "responses", "headers"):
        for name in written["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_what_is_served_is_small(written: dict[str, Any]) -> None:
    served = orjson.dumps(written)
    assert len(served) < 462_000
    assert len(gzip.compress(served)) < 64_700


def test_what_an_answer_adds_to_another_is_all_that_it_says(written: dict[str, Any]) -> None:
    schemas = written["components"]["schemas"]
    made = {name: schema["allOf"] for name, schema in schemas.items() if "allOf" in schema}
    assert made.keys() >= {"TicketCreatedEvent", "OpenedTicketOut", "ListedTicketOut", "TicketWithOut", "ApiKeyMade"}
    assert made["TicketWithOut"][0] == {"$ref": "#/components/schemas/ListedTicketOut"}
    assert made["TicketWithOut"][1]["properties"].keys() == {"messages"}
    assert made["TicketCreatedEvent"][1]["properties"].keys() == {"type", "data"}


def test_lists_in_queries_are_written_with_commas_and_nothing_there_is_null(document: dict[str, Any]) -> None:
    lists = 0
    for _, _, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            assert {"type": "null"} not in schema.get("anyOf", ()), parameter["name"]
            if schema.get("type") == "array":
                lists += 1
                assert (parameter["style"], parameter["explode"]) == ("form", False), parameter["name"]
    assert lists


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (method, path, parameter["name"])


def test_every_field_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for schema, name, field in fields(schemas):
        referred = schemas.get(field.get("$ref", "").rpartition("/")[2], {})
        assert field.get("description") or referred.get("description"), (schema, name)


def test_words_for_fields_are_all_used(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    said = {(schema, name): field.get("description") for schema, name, field in fields(schemas)}
    for name, words in BY_NAME.items():
        assert words in [each for (_, field), each in said.items() if field == name], name
    for place, words in ELSEWHERE.items():
        schema, _, name = place.partition(".")
        assert said.get((schema, name)) == words, place


def test_words_for_parameters_are_all_used(document: dict[str, Any]) -> None:
    said = {
        (each["in"], each["name"]): each["description"]
        for _, _, operation in _operations(document)
        for each in operation.get("parameters", ())
    }
    assert {("path", name) for name in IN_PATH} | {("query", name) for name in IN_QUERY} <= said.keys()
