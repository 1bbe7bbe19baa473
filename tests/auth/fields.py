"""The fields of the contract, walked, and what `matrix.toml` says of each: who may set it, and whether a customer sees
it. A schema that only staff's operations take or answer with needs no line: its cells are those of the operation."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.auth.matrix import ROWS

STAFF = ("agent", "lead", "admin", "service+")
GROUPS = {
    "everybody": ("customer", *STAFF),
    "people": ("customer", *STAFF[:3]),
    "staff": STAFF,
    # Who does not work on tickets, and whoever may name an author.
    "raters": ("customer", *STAFF[2:]),
    "agents": STAFF[:3],
    "leads": STAFF[1:],
    "admins": STAFF[2:],
}
# Every list takes them, and the crawl of the canaries follows them as everybody.
PAGING = {"limit", "cursor"}
FOR_CUSTOMERS = {row.operation for row in ROWS if not row.variant and row.expected["customer"] == "ok"}

_DATA = tomllib.loads(Path(__file__).with_name("matrix.toml").read_text())
Lines = dict[str, dict[str, list[str]]]


def _lines(section: str) -> Lines:
    read = {name: dict(lines) for name, lines in _DATA[section].items()}
    for lines in read.values():
        for group, words in read.get(lines.pop("like", ""), {}).items():
            lines[group] = f"{words} {lines.get(group, '')}"
    return {name: {group: words.split() for group, words in lines.items()} for name, lines in read.items()}


# What else a schema shows: that of another is looked for there.
OWN_SEES: Lines = {
    name: {line: words.split() for line, words in lines.items() if line != "like"}
    for name, lines in _DATA["sees"].items()
}
SETS, SEES, TOLD = _lines("sets"), _lines("sees"), _lines("told")
"""By schema (or query, `list_tickets?`), who may set which; by schema what customers see; the same of an event's
`data` by its type."""


class Place(NamedTuple):
    """Where an operation takes a schema: the way to it in the body, or its query."""

    operation: str
    schema: str
    way: tuple[str | int, ...]
    fields: frozenset[str]


class Contract:
    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas: dict[str, Any] = document["components"]["schemas"]
        self._operations = {
            operation["operationId"]: operation
            for item in document["paths"].values()
            for operation in item.values()
            if isinstance(operation, dict) and "operationId" in operation
        }

    def taken(self, operation: str) -> list[Place]:
        """Every schema of the body, and the query."""
        found = self._operations[operation]
        query = (
            {each["name"] for each in found.get("parameters", ()) if each["in"] == "query"} - PAGING - {"custom_fields"}
        )
        places = [Place(operation, f"{operation}?", (), frozenset(query))] if query else []
        body: dict[str, tuple[str | int, ...]] = {}
        for media in found.get("requestBody", {}).get("content", {}).values():
            self._walk(media.get("schema", {}), (), body)
        return places + [Place(operation, name, way, self.fields(name)) for name, way in body.items()]

    def answered(self, operation: str) -> set[str]:
        """Every schema that a success may hold."""
        found: dict[str, tuple[str | int, ...]] = {}
        for schema in self._answers(operation):
            self._walk(schema, (), found)
        return set(found)

    def fields(self, schema: str) -> frozenset[str]:
        return frozenset(self._schemas[schema].get("properties", ()))

    def values(self, operation: str, answer: Any) -> Iterator[tuple[str, str, Any]]:
        """Each field of an answer, at whatever depth: schema, name, value."""
        for schema in self._answers(operation):
            yield from self._values(schema, answer)

    def problem(self, answer: Any) -> Iterator[tuple[str, str, Any]]:
        return self._values({"$ref": "#/components/schemas/Problem"}, answer)

    def _answers(self, operation: str) -> Iterator[Any]:
        for status, response in self._operations[operation]["responses"].items():
            if status.startswith("2"):
                for media in response.get("content", {}).values():
                    lines = self._schemas.get(media.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
                    # Of a stream's lines, the events that they hold; the others say a position and a time.
                    held = lines.get("properties", {}).get("data", {}).get("contentSchema")
                    yield held["oneOf"][0] if held else media.get("schema", {})

    def _walk(self, node: Any, way: tuple[str | int, ...], found: dict[str, tuple[str | int, ...]]) -> None:
        name = node.get("$ref", "").rpartition("/")[2]
        if name in found:
            return
        if name and "properties" in (node := self._schemas[name]):
            found[name] = way
        else:
            assert "properties" not in node, f"an object without a name at {way}"
        for field, below in node.get("properties", {}).items():
            self._walk(below, (*way, field), found)
        for below in self._choices(node):
            self._walk(below, way, found)
        if "items" in node:
            self._walk(node["items"], (*way, 0), found)

    def _values(self, node: Any, value: Any) -> Iterator[tuple[str, str, Any]]:
        name = node.get("$ref", "").rpartition("/")[2]
        node = self._schemas[name] if name else node
        if isinstance(value, list):
            for each in value:
                yield from self._values(node.get("items", {}), each)
        if isinstance(value, dict) and "properties" in node:
            for field, below in value.items():
                yield name, field, below
                yield from self._values(node["properties"].get(field, {}), below)
        for choice in self._chosen(node, value):
            yield from self._values(choice, value)

    def _chosen(self, node: Any, value: Any) -> list[Any]:
        """Of what a value may be that which it is, where the contract says how to tell."""
        told_by = node.get("discriminator")
        if told_by and isinstance(value, dict):
            return [{"$ref": told_by["mapping"][value[told_by["propertyName"]]]}]
        return [choice for choice in self._choices(node) if choice.get("type") != "null"]

    @staticmethod
    def _choices(node: Any) -> list[Any]:
        return [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
