"""Every type that the code can write is described, and every payload is what its schema says."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from app.events import catalogue, log

_SOURCES = sorted(Path("app").rglob("*.py"))
_TYPE = re.compile(r"^[a-z_]+\.[a-z_]+$")
_PLACE = {"record": 2, "of_each": 1, "_moved": 1, "_tell": 2}
EVENT: TypeAdapter[Any] = TypeAdapter(catalogue.AuditEntry)


def _patterns(node: ast.expr) -> Iterator[str]:
    """What an expression for a type can be: words, or a pattern where a part is put in."""
    match node:
        case ast.Constant(value=str(text)):
            yield re.escape(text)
        case ast.JoinedStr(values=values):
            parts = (re.escape(str(v.value)) if isinstance(v, ast.Constant) else "[a-z_]+" for v in values)
            yield "".join(parts)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _patterns(body)
            yield from _patterns(orelse)


def _written() -> Iterator[tuple[str, str]]:
    for path in _SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = _PLACE.get(name)
            if place is not None and len(node.args) > place:
                for pattern in _patterns(node.args[place]):
                    if "\\." in pattern:
                        yield f"{path}:{node.lineno}", pattern


def test_every_type_that_the_sources_name_is_catalogued() -> None:
    found = list(_written())
    assert len(found) > 30
    unknown = [
        (place, pattern)
        for place, pattern in found
        if not any(re.fullmatch(pattern, name) for name in catalogue.CATALOGUE)
    ]
    assert not unknown


def test_what_the_catalogue_does_not_know_is_not_written() -> None:
    with pytest.raises(AssertionError, match="not in the catalogue"):
        log.record(Mock(), log.SYSTEM, "ticket.vanished", UUID(int=1), datetime.now(UTC), {})


def test_no_payload_has_a_field_for_texts_names_or_addresses() -> None:
    personal = {"body", "text", "subject", "name", "email", "external_id", "custom_fields", "attributes", "description"}
    for about in catalogue.CATALOGUE.values():
        assert not personal & set(about.payload.model_fields), about.name


def test_an_id_is_a_uuid7_that_a_restored_number_does_not_repeat() -> None:
    now = datetime.now(UTC)
    id_ = UUID(catalogue.event_id(7, now))
    assert (id_.version, id_.variant) == (7, UUID(int=id_.int).variant)
    assert id_ == UUID(catalogue.event_id(7, now))
    assert id_ != UUID(catalogue.event_id(7, now.replace(microsecond=(now.microsecond + 1) % 1_000_000)))
    assert id_ != UUID(catalogue.event_id(8, now))


def test_types_are_words() -> None:
    assert all(_TYPE.match(name) for name in catalogue.CATALOGUE)
