"""A unique value that is taken: which field holds it, and which resource has it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Column, Select, Table, UniqueConstraint, bindparam, func, literal_column, select

from app.db import Query, Transaction, metadata
from app.errors import Conflict, FieldError

UNIQUE_VIOLATION = "23505"
# As PostgreSQL writes it in any language: Key (columns)=(values) …
_KEY = re.compile(r"\((?P<columns>.+?)\)=\((?P<values>.*)\)", re.DOTALL)
_COLUMN = re.compile(r"[a-z_]+")
_ABSENT = re.compile(r"^(\w+) IS NULL$")
# How a column is named on the wire where its own name differs.
_FOLDED = "_folded"
_QUERIES: dict[tuple[str, str], Query] = {}


class Taken(Conflict):
    """The value of a field must be unique, and another resource has it: `errors` names the field and the resource."""


async def conflict(tx: Transaction, violation: asyncpg.PostgresError) -> Conflict:
    """What is told of a unique violation. Not the value: that may be personal."""
    table, key = violation.table_name or "", _KEY.search(violation.detail or "")
    if key is None or table not in metadata.tables or "id" not in metadata.tables[table].c:
        return Conflict("something with the same unique value exists already")
    row = await tx.row(_query(table, key["columns"]), value=key["values"])
    return taken(table, _columns(table, key["columns"]), row["id"] if row else None)


async def check(tx: Transaction, table: Table, values: Mapping[str, Any], itself: UUID | None = None) -> None:
    """Raises Taken where another row has a unique value of these. What PostgreSQL refuses itself, it logs as an error:
    this is asked before a change, and after an insert that did nothing."""
    for each in _unique(table):
        if all((values.get(name) is None) is (name in each.absent) for name in {*each.columns, *each.absent}):
            row = await tx.row(each.holder, **{name: values[name] for name in each.columns})
            if row and row["id"] != itself:
                raise taken(table.name, each.columns, row["id"])


@dataclass(frozen=True)
class _Unique:
    """Columns that are unique together, among rows where those `absent` are null."""

    columns: tuple[str, ...]
    absent: frozenset[str]
    holder: Query


@cache
def _unique(table: Table) -> tuple[_Unique, ...]:
    found: list[tuple[tuple[str, ...], str]] = [
        (tuple(column.name for column in each.columns), "")
        for each in table.constraints
        if isinstance(each, UniqueConstraint)
    ]
    for index in table.indexes:
        if index.unique:
            columns = tuple(each.name for each in index.expressions if isinstance(each, Column))
            found.append((columns, str(index.dialect_options["postgresql"]["where"] or "")))
    return tuple(
        _Unique(columns, frozenset(_ABSENT.findall(where)), _holder(table, columns, where)) for columns, where in found
    )


@cache
def unique_columns(table: Table) -> frozenset[str]:
    return frozenset(name for each in _unique(table) for name in each.columns)


def _holder(table: Table, columns: Iterable[str], where: str) -> Query:
    same = [table.c[name] == bindparam(name) for name in columns]
    return Query(select(table.c.id).where(*same, *([literal_column(where)] if where else [])).limit(1))


def taken(table: str, columns: Iterable[str], owner: UUID | None) -> Taken:
    fields = [name.removesuffix(_FOLDED) for name in columns]
    who = f"/v1/{table.replace('_', '-')}/{owner} has it" if owner else "another one had it"
    what = " and ".join(fields) or "value"
    errors = tuple(FieldError(f"/{field}", "taken", f"this {what} is taken: {who}") for field in fields)
    return Taken(f"this {what} is taken: {who}", errors=errors)


def _query(table: str, columns: str) -> Query:
    """By the very columns, or expressions of them, of the index."""
    query = _QUERIES.get((table, columns))
    if query is None:
        its = metadata.tables[table].c
        several = "," in re.sub(r"\([^()]*\)", "", columns)
        value = func.concat_ws(", ", literal_column(columns)) if several else literal_column(columns)
        found: Select[tuple[object]] = select(its.id).where(value == bindparam("value")).limit(1)
        if "archived_at" in its:
            found = found.order_by(its.archived_at.desc().nulls_first())
        query = _QUERIES[table, columns] = Query(found)
    return query


def _columns(table: str, columns: str) -> list[str]:
    return [name for name in _COLUMN.findall(columns) if name in metadata.tables[table].c]
