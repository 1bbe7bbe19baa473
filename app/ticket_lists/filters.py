"""What a ticket list is asked for, as values that its statements know: `me` is somebody, `none` is None, and custom
fields are one JSON path."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import select

from app.auth.dependencies import Actor
from app.auth.oneself import filter_value
from app.custom_fields.schemas import Subject
from app.custom_fields.tables import custom_fields
from app.custom_fields.values import IN_FORCE, Definition, misfit
from app.db import Query, Transaction
from app.errors import Invalid
from app.segments.known_words import known_words
from app.segments.tables import segments
from app.ticket_lists.schemas import FIELDS_PREFIX, TicketFilter
from app.tickets.references import check_there
from app.web import names
from app.web.query import Empty
from app.web.schemas import fold

FieldValues: TypeAlias = Sequence[str | Empty]

# Of archived ones there may still be values.
_FIELDS = Query(select(custom_fields.c.key).where(custom_fields.c.subject == Subject.ticket.value).distinct())
# Of archived ones there are tickets.
_SEGMENTS = Query(select(segments.c.key).order_by(segments.c.position, segments.c.id))
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?", re.ASCII)


async def of(tx: Transaction, actor: Actor, asked: TicketFilter) -> dict[str, Any]:
    """Raises Invalid for a custom field that is not defined, and for `me` where the caller is nobody of this kind."""
    where = {name: filter_value(actor, name, getattr(asked, name)) for name in TicketFilter.model_fields}
    if asked.segment is not None:
        written = {fold(row["key"]): row["key"] for row in await tx.rows(_SEGMENTS)}
        where["segment"] = tuple(key and written.get(fold(key), key) for key in where["segment"])
    if asked.custom_fields is not None:
        where["custom_fields"] = json_path(await _as_defined(tx, asked.custom_fields))
    return where


async def _as_defined(tx: Transaction, asked: Mapping[str, FieldValues | None]) -> dict[str, FieldValues]:
    """By the keys as they are written where they are defined."""
    known = {fold(row["key"]): row["key"] for row in await tx.rows(_FIELDS)}
    for key in asked:
        if fold(key) not in known:
            raise Invalid.at(f"/query/{FIELDS_PREFIX}{key}", names.UNKNOWN, names.unknown(key, known.values()))
    values: dict[str, FieldValues] = {}
    for key, given in asked.items():
        key = known[fold(key)]
        values[key] = (*values.get(key, ()), *(given or ()))
    return values


async def check_possible(tx: Transaction, asked: TicketFilter, names_: Collection[str]) -> None:
    """Raises Invalid for what no ticket can be, by those filters that have these names. Tags, products and external
    ids may come later."""
    given = {name: getattr(asked, name) for name in names_ if getattr(asked, name) is not None}
    await check_there(tx, "/filter", given)
    if "segment" in given:
        keys = [row["key"] for row in await tx.rows(_SEGMENTS)]
        folded = {fold(key) for key in keys}
        for each in given["segment"]:
            if each is not Empty.none and fold(each) not in folded:
                raise Invalid.at("/filter/segment", "unknown_word", known_words(each, keys))
    for key, values in (given.get("custom_fields") or {}).items():
        await _check_values(tx, key, values or ())


async def _check_values(tx: Transaction, key: str, values: Sequence[str | Empty]) -> None:
    known = {fold(row["key"]): row["key"] for row in await tx.rows(_FIELDS)}
    if fold(key) not in known:
        raise Invalid.at(f"/filter/custom_fields/{key}", names.UNKNOWN, names.unknown(key, known.values()))
    definition = (await IN_FORCE.now(tx)).get((Subject.ticket, known[fold(key)]))
    for value in values:
        if definition and value is not Empty.none and (wrong := _misfit(definition, value)):
            raise Invalid.at(f"/filter/custom_fields/{key}", *wrong)


def _misfit(definition: Definition, value: str) -> tuple[str, str] | None:
    """A value stands for the text, the number or the boolean that it may be."""
    meant: list[object] = [value]
    if _NUMBER.fullmatch(value) or value in ("true", "false"):
        meant.append(json.loads(value))
    wrong = [misfit(definition, each) for each in meant]
    return None if None in wrong else wrong[0]


def json_path(fields: Mapping[str, FieldValues]) -> str | None:
    """A predicate of SQL/JSON that an index answers. A value stands for the text, number or boolean that it may be."""
    each = [" || ".join(_is(key, value) for value in values) for key, values in fields.items() if values]
    return " && ".join(f"({one})" for one in each) or None


def _is(key: str, value: str | Empty) -> str:
    if value is Empty.none:
        return f'!exists($."{key}")'
    written = [json.dumps(value)]
    if _NUMBER.fullmatch(value) or value in ("true", "false"):
        written.append(value)
    return " || ".join(f'$."{key}" == {one}' for one in written)
