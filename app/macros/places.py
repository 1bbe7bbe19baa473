"""The places of a macro's text, `{{customer.name}}`, and what fills them. Pure."""

import re
from collections.abc import Mapping
from typing import Any

_OF = {
    "customer": ("name", "email", "external_id", "language", "region"),
    "ticket": ("number", "subject", "external_id", "status", "priority", "type", "product"),
    "agent": ("name",),
}
_FIELDS = {"customer": "attributes", "ticket": "custom_fields"}
_NAMES = [f"{noun}.{name}" for noun, names in _OF.items() for name in names]
_OPEN = [f"{noun}.{fields}." for noun, fields in _FIELDS.items()]
WORDS = ", ".join([f"{{{{{name}}}}}" for name in _NAMES] + [f"{{{{{name}…}}}}" for name in _OPEN])
_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def unknown(body: str) -> str | None:
    """The first place that nothing would fill."""
    names = (found[1] for found in _PLACE.finditer(body))
    return next((name for name in names if name not in _NAMES and not name.startswith(tuple(_OPEN))), None)


def nouns(body: str) -> set[str]:
    """Of what the places tell."""
    return {found[1].partition(".")[0] for found in _PLACE.finditer(body)}


def filled(body: str, facts: Mapping[str, Mapping[str, Any]]) -> str:
    """What is not known of somebody is left empty. What fills a place is not searched for places."""
    return _PLACE.sub(lambda found: _text(_value(found[1], facts)), body)


def _value(place: str, facts: Mapping[str, Mapping[str, Any]]) -> Any:
    noun, _, name = place.partition(".")
    about = facts.get(noun) or {}
    fields, _, key = name.partition(".")
    return (about.get(fields) or {}).get(key) if key else about.get(name)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
