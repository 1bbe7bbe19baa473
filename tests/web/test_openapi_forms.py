"""The forms of the OpenAPI document that generators of clients read alike."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from tests.conftest import served_openapi
from tests.support.document import at

_BOUNDS = {
    "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
}  # fmt: skip
# What browsers and JavaScript have already: a type of such a name hides theirs, or is taken for it.
_OF_BROWSERS = {
    "Animation", "Array", "Attr", "Blob", "Boolean", "Cache", "Client", "Comment", "Credential", "Date", "Document",
    "Element", "Error", "Event", "File", "Function", "Headers", "History", "Image", "Iterator", "Location", "Lock",
    "Map", "Node", "Notification", "Number", "Object", "Option", "Plugin", "Promise", "Range", "Record", "Request",
    "Response", "Selection", "Set", "String", "Symbol", "Text", "Touch", "Window", "Worker",
}  # fmt: skip
# orval takes every answer of an operation for a stream that names one of these.
_STREAMS = {"application/x-ndjson", "application/nd-json"}


@pytest.fixture
def document() -> dict[str, Any]:
    return served_openapi()


def _nodes(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield where, node
        for key, inner in node.items():
            if key not in ("example", "examples"):
                yield from _nodes(inner, f"{where}/{key}")
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from _nodes(inner, f"{where}/{index}")


def test_no_schema_is_named_after_a_module_or_as_browsers_name_theirs(document: dict[str, Any]) -> None:
    names = document["components"]["schemas"].keys()
    assert [name for name in names if "__" in name] == []
    assert names & _OF_BROWSERS == set()
    assert names >= {"ClockState", "DeliveryState", "AuditEntry", "CustomFieldValue"}


def test_bytes_have_no_length_and_words_no_bounds(document: dict[str, Any]) -> None:
    found = []
    for where, node in _nodes(document):
        if node.get("format") == "binary" or "contentMediaType" in node:
            found.append(where)
            assert not node.keys() & _BOUNDS, where
        if isinstance(node.get("const"), str):
            assert not node.keys() & _BOUNDS, where
            assert node["enum"] == [node["const"]], where
    assert [where for where in found if "/v1/inbound/email" in where]


def test_a_number_is_no_integer_beside_it(document: dict[str, Any]) -> None:
    for where, node in _nodes(document):
        kinds = [at(document, kind).get("type") for kind in node.get("anyOf", ()) if isinstance(kind, dict)]
        assert not {"integer", "number"} <= set(map(str, kinds)), where
        assert kinds.count("number") < 2, where


def test_of_several_objects_exactly_one_fits(document: dict[str, Any]) -> None:
    unions = set()
    for where, node in _nodes(document):
        for word in ("anyOf", "oneOf"):
            kinds = [at(document, kind) for kind in node.get(word, ()) if isinstance(kind, dict)]
            if len(objects := [kind for kind in kinds if "properties" in kind or "allOf" in kind]) < 2:
                continue
            assert word == "oneOf", where
            unions.add(where.rpartition("/")[2])
            if "discriminator" in node:
                assert set(node["discriminator"]["mapping"].values()) == {kind["$ref"] for kind in node[word]}, where
                continue
            for one, other in combinations(objects, 2):
                assert _apart(one, other) or _apart(other, one), where
    assert unions >= {"AuditEntry", "ImportedEntry", "RuleIn"}


def _apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether nothing that is the one can be the other, which has no room for what the one must have."""
    return other["additionalProperties"] is False and bool(set(one.get("required", ())) - other["properties"].keys())


def test_no_answer_becomes_a_stream_because_of_another_that_goes_by_lines(document: dict[str, Any]) -> None:
    for where, node in _nodes(document["paths"]):
        if where.endswith("/content"):
            assert not node.keys() & _STREAMS, where
