"""Each kind of break is planted in a small contract and found; what breaks nobody is let through."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.breaking import RELEASED, compare

Node = dict[str, Any]
SCHEMAS = "#/components/schemas"
OPENAPI = Path(__file__).parents[2] / "openapi.json"


def contract() -> Node:
    word = {"type": "string", "enum": ["low", "high"]}
    thing = {
        "id": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "size": {"type": "number"},
        "word": {"$ref": f"{SCHEMAS}/Word"},
        "kind": {"type": "string", "const": "thing"},
    }
    sent = {
        "name": {"type": "string", "minLength": 1, "maxLength": 9},
        "many": {"type": "integer", "default": 5},
        "note": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
        "word": {"$ref": f"{SCHEMAS}/Word"},
        "free": {"type": "string"},
        "who": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "const": "me"}]},
        "whom": {"type": "string", "format": "uuid"},
        "list": {"type": "array", "maxItems": 5, "items": {"type": "integer", "maximum": 9}},
    }
    limit = {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "maximum": 200, "default": 50},
    }
    operation = {
        "operationId": "make_thing",
        "tags": ["things"],
        "security": [{"bearer": ["things:write"]}],
        "parameters": [limit, {"name": "if-match", "in": "header", "schema": {"type": "string"}}],
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {"schema": {"$ref": f"{SCHEMAS}/ThingIn"}},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "201": {
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}/Thing"}}},
            },
            "4XX": {},
        },
    }
    schemas = {
        "Word": word,
        "Thing": {"type": "object", "properties": thing, "required": ["id", "size", "word"]},
        "ThingIn": {"type": "object", "properties": sent, "required": ["name"], "additionalProperties": True},
        "Either": {
            "oneOf": [{"$ref": f"{SCHEMAS}/Thing"}, {"$ref": f"{SCHEMAS}/Tree"}],
            "discriminator": {"propertyName": "kind", "mapping": {"thing": f"{SCHEMAS}/Thing"}},
        },
        # It holds itself, as conditions do.
        "Tree": {
            "type": "object",
            "properties": {"all": {"type": "array", "items": {"$ref": f"{SCHEMAS}/Tree"}}},
        },
    }
    tree = {"content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}/Tree"}}}}
    either = {"content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}/Either"}}}}
    find = {"operationId": "find", "responses": {"200": either}}
    grow = {"operationId": "grow_tree", "requestBody": tree, "responses": {"200": tree}}
    paths = {"/things": {"post": operation}, "/trees": {"post": grow, "get": find}}
    components = {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}
    return {"servers": [{"url": "/"}], "paths": paths, "components": components}


def _operation(document: Node) -> Node:
    found: Node = document["paths"]["/things"]["post"]
    return found


def _schema(document: Node, name: str) -> Node:
    found: Node = document["components"]["schemas"][name]
    return found


def _in(document: Node, name: str) -> Node:
    found: Node = _schema(document, "ThingIn")["properties"][name]
    return found


def _out(document: Node, name: str) -> Node:
    found: Node = _schema(document, "Thing")["properties"][name]
    return found


def _or_word(word: str, form: Node | None = None) -> Node:
    form = form or {"type": "string", "format": "date-time"}
    return {"type": "string", "anyOf": [form, {"type": "string", "const": word}]}


def _in_parts(document: Node) -> list[Node]:
    """What is answered, as a base and what is added to it."""
    whole = document["components"]["schemas"].pop("Thing")
    base = {**whole, "required": ["id", "size"]}
    added: Node = {"type": "object", "properties": {"word": base["properties"].pop("word")}, "required": ["word"]}
    document["components"]["schemas"] |= {
        "Base": base,
        "Thing": {"allOf": [{"$ref": f"{SCHEMAS}/Base"}, added]},
    }
    return [base, added]


def _new_parameter(document: Node) -> None:
    _operation(document)["parameters"].append({"name": "q", "in": "query", "required": True, "schema": {}})


def _renamed_schema(document: Node) -> None:
    document["components"]["schemas"]["Item"] = document["components"]["schemas"]["Thing"]
    _operation(document)["responses"]["201"]["content"]["application/json"]["schema"]["$ref"] = f"{SCHEMAS}/Item"


BREAKS: dict[str, Callable[[Node], object]] = {
    "an operation is gone": lambda d: d["paths"]["/things"].pop("post"),
    "a path is gone": lambda d: d["paths"].pop("/things"),
    "a path has another name": lambda d: d["paths"].update({"/items": d["paths"].pop("/things")}),
    "an operation has another name": lambda d: _operation(d).update(operationId="create_thing"),
    "another scope is needed": lambda d: _operation(d).update(security=[{"bearer": ["keys:write"]}]),
    "a parameter is gone": lambda d: _operation(d)["parameters"].clear(),
    "a parameter is required": lambda d: _operation(d)["parameters"][0].update(required=True),
    "a new parameter is required": _new_parameter,
    "a parameter takes less": lambda d: _operation(d)["parameters"][0]["schema"].update(maximum=100),
    "the body is required": lambda d: _operation(d)["requestBody"].update(required=True),
    "the body is gone": lambda d: _operation(d).pop("requestBody"),
    "a media type is no longer taken": lambda d: _operation(d)["requestBody"]["content"].pop("text/plain"),
    "a status is gone": lambda d: _operation(d)["responses"].pop("4XX"),
    "a header is gone": lambda d: _operation(d)["responses"]["201"]["headers"].pop("ETag"),
    "an answer's media type is gone": lambda d: _operation(d)["responses"]["201"]["content"].clear(),
    "a field of a request is gone": lambda d: _schema(d, "ThingIn")["properties"].pop("free"),
    "a field of a request is required": lambda d: _schema(d, "ThingIn")["required"].append("free"),
    "no other fields are taken": lambda d: _schema(d, "ThingIn").update(additionalProperties=False),
    "null is no longer taken": lambda d: _in(d, "note")["anyOf"].pop(),
    "another type is taken": lambda d: _in(d, "free").update(type="integer"),
    "a shorter text is taken": lambda d: _in(d, "name").update(maxLength=8),
    "a text has a largest length": lambda d: _in(d, "free").update(maxLength=8),
    "a longer text is needed": lambda d: _in(d, "name").update(minLength=2),
    "a text has a form": lambda d: _in(d, "free").update(pattern="^a"),
    "a text has a format": lambda d: _in(d, "free").update(format="uuid"),
    "a shorter list is taken": lambda d: _in(d, "list").update(maxItems=4),
    "smaller items are taken": lambda d: _in(d, "list")["items"].update(maximum=8),
    "a text is one of few words": lambda d: _in(d, "free").update(enum=["a"]),
    "a word is gone": lambda d: _schema(d, "Word")["enum"].pop(),
    "a field of an answer is gone": lambda d: _schema(d, "Thing")["properties"].pop("size"),
    "a field of an answer may be absent": lambda d: _schema(d, "Thing")["required"].remove("size"),
    "an answer is of another type": lambda d: _out(d, "id").update(type="integer"),
    "an answer may be null": lambda d: _out(d, "id").update(type=["string", "null"]),
    "an answer has another format": lambda d: _out(d, "at").update(format="date"),
    "an answer has no format any more": lambda d: _out(d, "at").pop("format"),
    "another default of a parameter": lambda d: _operation(d)["parameters"][0]["schema"].update(default=20),
    "another default of a field": lambda d: _in(d, "many").update(default=6),
    "a list in a query is written otherwise": lambda d: _operation(d)["parameters"][0].update(explode=False),
    "a field is no longer taken": lambda d: _in(d, "free").update(readOnly=True),
    "only some names are taken": lambda d: _schema(d, "ThingIn").update(propertyNames={"pattern": "^a"}),
    "not all is taken": lambda d: _in(d, "free").update({"not": {"const": "a"}}),
    "another tag": lambda d: _operation(d).update(tags=["items"]),
    "another server": lambda d: d.update(servers=[{"url": "/api"}]),
    "who calls is said otherwise": lambda d: d["components"]["securitySchemes"].update(
        {"key": d["components"]["securitySchemes"].pop("bearer")}
    ),
    "told apart by another field": lambda d: _schema(d, "Either").update(discriminator={"propertyName": "type"}),
    "another kind by the same word": lambda d: _schema(d, "Either")["discriminator"]["mapping"].update(
        {"thing": f"{SCHEMAS}/Tree"}
    ),
    "a kind has no word any more": lambda d: _schema(d, "Either")["discriminator"]["mapping"].clear(),
    "a word beside a form is gone": lambda d: _in(d, "who")["anyOf"].pop(),
    "only the word beside a form is left": lambda d: _in(d, "who")["anyOf"].pop(0),
    "an answer of one word has others": lambda d: _schema(d, "Thing")["properties"].update(
        kind={"type": "string", "enum": ["thing", "tree"]}
    ),
    "an answer of a form may be a word": lambda d: _schema(d, "Thing")["properties"].update(at=_or_word("never")),
    "a field that another answer brought is gone": lambda d: _in_parts(d)[0]["properties"].pop("size"),
    "an answer may be any word": lambda d: _schema(d, "Word").pop("enum"),
}
FINE: dict[str, Callable[[Node], object]] = {
    "nothing": lambda d: None,
    "a new operation": lambda d: d["paths"].update({"/others": {"get": {"operationId": "a", "responses": {}}}}),
    "a new field of a request": lambda d: _schema(d, "ThingIn")["properties"].update(more={"type": "string"}),
    "a new field of an answer": lambda d: _schema(d, "Thing")["properties"].update(more={"type": "string"}),
    "a longer text is taken": lambda d: _in(d, "name").update(maxLength=10),
    "null is taken": lambda d: _in(d, "free").update(type=["string", "null"]),
    "an answer is always an integer": lambda d: _out(d, "size").update(type="integer"),
    "a new word": lambda d: _schema(d, "Word")["enum"].append("urgent"),
    "a word beside a form is taken": lambda d: _in(d, "whom").update(_or_word("me", _in(d, "whom").copy())),
    "another word beside a form is taken": lambda d: _in(d, "who")["anyOf"].append({"type": "string", "const": "none"}),
    "any text is taken": lambda d: _schema(d, "ThingIn")["properties"].update(who={"type": "string"}),
    "more kinds are told apart": lambda d: _schema(d, "Either")["discriminator"]["mapping"].update(
        {"tree": f"{SCHEMAS}/Tree"}
    ),
    "the same is said in two parts": lambda d: _in_parts(d),
    "a header is written in capitals": lambda d: _operation(d)["parameters"][1].update(name="If-Match"),
    "no scope is needed": lambda d: _operation(d).pop("security"),
    "a schema has another name": _renamed_schema,
}


@pytest.mark.parametrize("plant", BREAKS.values(), ids=list(BREAKS))
def test_a_break_is_found(plant: Callable[[Node], object]) -> None:
    before, after = contract(), contract()
    plant(after)
    assert [change for change in compare(before, after) if change.breaking]


@pytest.mark.parametrize("change", FINE.values(), ids=list(FINE))
def test_what_breaks_nobody_is_let_through(change: Callable[[Node], object]) -> None:
    before, after = contract(), contract()
    change(after)
    assert not [change for change in compare(before, after) if change.breaking]


def test_a_new_word_in_an_answer_is_told() -> None:
    before, after = contract(), contract()
    _schema(after, "Word")["enum"].append("urgent")
    assert [str(change) for change in compare(before, after)] == ["new     POST /things 201.word: urgent may come"]


def test_another_name_of_a_schema_is_told() -> None:
    before, after = contract(), contract()
    _renamed_schema(after)
    assert [str(change) for change in compare(before, after)] == ["new     POST /things 201: Thing is now called Item"]


def test_the_real_contract_breaks_nobody() -> None:
    released, current = json.loads(RELEASED.read_text()), json.loads(OPENAPI.read_text())
    assert not [str(change) for change in compare(released, current) if change.breaking]


def test_breaks_in_the_real_contract_are_found_wherever_they_are() -> None:
    current = json.loads(OPENAPI.read_text())
    for name, schema in current["components"]["schemas"].items():
        if schema.get("properties") and name not in ("Problem", "ProblemError"):
            planted = copy.deepcopy(current)
            gone, _ = planted["components"]["schemas"][name]["properties"].popitem()
            required = planted["components"]["schemas"][name].get("required", [])
            planted["components"]["schemas"][name]["required"] = [each for each in required if each != gone]
            found = [str(change) for change in compare(current, planted) if change.breaking]
            assert any(f".{gone}: is gone" in change for change in found), name
