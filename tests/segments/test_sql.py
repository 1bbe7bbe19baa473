"""The two meanings of a rule never differ: random trees over random customers, in Python and in the database."""

import random
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import func, select
from uuid_utils.compat import uuid7

from app.customers.tables import customers, organizations
from app.db import Database, Query, Transaction
from app.segments.bulk_decide import WITH_ORGANIZATION, columns
from app.segments.fields import FIGURES, OF_SEGMENTS, facts_of
from app.segments.rules import FieldType, Rule, evaluate, parse
from app.segments.sql import compiled
from tests.support.sla import Sql

CUSTOMERS, RULES, AT_ONCE = 420, 264, 12
START = datetime(2026, 1, 1, tzinfo=UTC)
# What SQL and Python might take for something else: patterns, case, accents, order by code point or by locale, digits,
# empty text, quotes, what lies beyond the BMP.
TEXTS = ["", "a", "A", "ab", "b", "Z", "é", "e\u0301", "%", "_", "a%b", "\\", "10", "9", "1", "true", "null", "ÿ",
         "\U0001f600", "\uffff", "a'b", '"', "pro", "Pro"]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 10, 9, 0.1, 0.30000000000000004, 0.3, 1.0, 1e-7, 2**53 - 1, -(2**53 - 1), 1.5e10, 5e-324]
SCALARS: list[Any] = [*TEXTS, *NUMBERS, True, False]
FACTS = ("name", "email", "region", "language", "external_id")
# Stand-ins for figures: the real ones are shown by the tests of segments.
_STAND_INS = {
    "customer.open_tickets": (FieldType.NUMBER, func.length(customers.c.name)),
    "customer.last_ticket_at": (FieldType.INSTANT, organizations.c.created_at),
}
COLUMNS = columns(_STAND_INS)
_ORGANIZATION = [column.name for column in organizations.c]
_ALL = Query(
    select(customers, *(column.label(f"its_{column.name}") for column in organizations.c)).select_from(
        WITH_ORGANIZATION
    )
)


def _instant(chance: random.Random) -> datetime:
    return START + timedelta(microseconds=chance.randrange(5))


def _maybe(chance: random.Random, values: list[Any]) -> Any:
    return chance.choice([None, *values])


def _attributes(chance: random.Random) -> str:
    given = {name: chance.choice(SCALARS) for name in ("x", "y", "plan") if chance.random() < 0.8}
    return orjson.dumps(given).decode()


async def _populate(sql: Sql, chance: random.Random) -> None:
    companies = [uuid7() for _ in range(20)]
    await sql.executemany(
        "INSERT INTO organizations (id, name, region, attributes, created_at) VALUES ($1, $2, $3, $4::text::jsonb, $5)",
        [
            (id_, chance.choice(TEXTS), _maybe(chance, TEXTS), _attributes(chance), _instant(chance))
            for id_ in companies
        ],
    )
    await sql.executemany(
        "INSERT INTO customers (id, name, email, region, language, external_id, organization_id, attributes,"
        " created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9)",
        [
            (
                uuid7(), *(_maybe(chance, TEXTS) for _ in FACTS[:4]), None, _maybe(chance, companies),
                _attributes(chance), _instant(chance),
            )
            for _ in range(CUSTOMERS)
        ],
    )  # fmt: skip


def _value(chance: random.Random, type_: FieldType, op: str, ids: list[str]) -> Any:
    if op == "exists":
        return chance.choice([True, False])
    if op in ("contains", "starts_with"):
        return chance.choice(TEXTS)
    if op in ("in", "not_in"):
        return [_value(chance, type_, "eq", ids) for _ in range(chance.randrange(1, 5))]
    if type_ is FieldType.ANY_SCALAR:
        return chance.choice([*TEXTS, *NUMBERS] if op in ("lt", "lte", "gt", "gte") else SCALARS)
    if type_ is FieldType.INSTANT:
        return _instant(chance).isoformat()
    return chance.choice(NUMBERS if type_ is FieldType.NUMBER else [*TEXTS, *ids])


_OPS = {
    FieldType.TEXT: ["eq", "ne", "in", "not_in", "contains", "starts_with", "exists"],
    FieldType.NUMBER: ["eq", "ne", "in", "not_in", "lt", "lte", "gt", "gte", "exists"],
    FieldType.INSTANT: ["eq", "ne", "lt", "lte", "gt", "gte", "exists"],
}
_OPS[FieldType.ANY_SCALAR] = [*_OPS[FieldType.NUMBER], "contains", "starts_with"]
_FIELDS = [
    *(name for name in OF_SEGMENTS.exact if name not in FIGURES or name in _STAND_INS),
    *(f"{of}.attributes.{name}" for of in ("customer", "organization") for name in ("x", "y", "missing")),
]


def _tree(chance: random.Random, ids: list[str], depth: int = 0) -> dict[str, Any]:
    if depth < 4 and chance.random() < 0.6:
        word = chance.choice(["all", "any", "not"])
        if word == "not":
            return {"not": _tree(chance, ids, depth + 1)}
        return {word: [_tree(chance, ids, depth + 1) for _ in range(chance.randrange(4))]}
    field = chance.choice(_FIELDS)
    type_ = OF_SEGMENTS.type_of(field)
    assert type_
    op = chance.choice(_OPS[type_])
    return {"field": field, "op": op, "value": _value(chance, type_, op, ids)}


def _facts(row: Any) -> dict[str, object]:
    organization = None if row["its_id"] is None else {name: row[f"its_{name}"] for name in _ORGANIZATION}
    facts = facts_of(row, organization)
    facts["customer.open_tickets"] = None if row["name"] is None else len(row["name"])
    facts["customer.last_ticket_at"] = row["its_created_at"]
    return facts


async def _answers(tx: Transaction, rules: list[Rule]) -> dict[UUID, list[bool]]:
    found = [compiled(rule, COLUMNS).label(f"rule_{n}") for n, rule in enumerate(rules)]
    rows = await tx.rows(Query(select(customers.c.id, *found).select_from(WITH_ORGANIZATION)))
    return {row["id"]: list(row)[1:] for row in rows}


async def test_python_and_sql_never_disagree(db: Database, sql: Sql) -> None:
    """More than a hundred thousand comparisons."""
    seed = secrets.randbits(64)
    chance = random.Random(seed)
    await _populate(sql, chance)
    compared, held = 0, 0
    async with db.transaction() as tx:
        facts = {row["id"]: _facts(row) for row in await tx.rows(_ALL)}
        ids = [str(row["organization_id"]) for row in await tx.rows(_ALL) if row["organization_id"]]
        for _ in range(RULES // AT_ONCE):
            raw = [_tree(chance, ids) for _ in range(AT_ONCE)]
            rules = [parse(each, OF_SEGMENTS) for each in raw]
            for id_, answers in (await _answers(tx, rules)).items():
                for each, rule, answer in zip(raw, rules, answers, strict=True):
                    assert answer is evaluate(rule, facts[id_]), (seed, each, facts[id_])
                    compared += 1
                    held += answer
    assert compared >= 100_000
    assert 0.1 < held / compared < 0.9


@pytest.mark.parametrize("op", ["eq", "ne", "in", "not_in", "lt", "gte", "contains", "starts_with", "exists"])
async def test_each_op_over_each_kind_of_value(db: Database, sql: Sql, op: str) -> None:
    """Every attribute against every value, one by one: what random trees might leave out."""
    for value in SCALARS:
        await sql.execute(
            "INSERT INTO customers (id, attributes) VALUES ($1, $2::text::jsonb)",
            uuid7(), orjson.dumps({"x": value}).decode(),
        )  # fmt: skip
    await sql.execute("INSERT INTO customers (id) VALUES ($1)", uuid7())
    given: dict[str, list[Any]] = {
        "exists": [True, False], "contains": TEXTS, "starts_with": TEXTS, "lt": [*TEXTS, *NUMBERS],
        "gte": [*TEXTS, *NUMBERS],
    }  # fmt: skip
    fitting = given.get(op, SCALARS)
    several = op in ("in", "not_in")
    raw = [
        {"field": "customer.attributes.x", "op": op, "value": [value, "b"] if several else value} for value in fitting
    ]
    async with db.transaction() as tx:
        facts = {row["id"]: _facts(row) for row in await tx.rows(_ALL)}
        rules = [parse(each, OF_SEGMENTS) for each in raw]
        for id_, answers in (await _answers(tx, rules)).items():
            assert answers == [evaluate(rule, facts[id_]) for rule in rules], facts[id_]
