"""Recompute from the log what was merged into what, tickets and customers, and compare it with what is stored: where
the source points to, what the merge that can be undone says, and what the target knows of those that went into it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, any_, func, or_, select, union
from sqlalchemy.dialects.postgresql import array

from app.customer_merges.tables import customer_merges
from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.events.tables import event_log, events
from app.tickets.tables import ticket_merges, tickets

_t, _c, _e = tickets.c, customers.c, events.c
_dropped_before = select(event_log.c.dropped_before).scalar_subquery()


def _sources(
    table: Table, merges: Table, where: ColumnElement[bool], *columns: ColumnElement[Any]
) -> tuple[Select[Any], Query]:
    """Those that are or were merged, each with the merge that stands; and their ids."""
    merged = union(select(table.c.id).where(table.c.merged_into.is_not(None)), select(merges.c.source_id)).subquery()
    stands = and_(merges.c.source_id == table.c.id, merges.c.undone_at.is_(None))
    found = (
        select(table.c.id, table.c.merged_into, merges.c.target_id, merges.c.merged_at, *columns)
        .select_from(table.join(merged, merged.c.id == table.c.id).outerjoin(merges, stands))
        .where(where)
        .order_by(table.c.id)
    )
    return select(merged.c.id), Query(found)


_merged_tickets, _TICKETS = _sources(tickets, ticket_merges, _t.id.is_not(None))
_TICKETS_TOLD = Query(
    select(_e.ticket_id.label("id"), _e.type, _e.occurred_at, _e.data)
    .where(_e.ticket_id.in_(_merged_tickets), _e.type == any_(array(["ticket.merged", "ticket.unmerged"])))
    .order_by(_e.id)
)
_INTO = Query(select(_t.id, _t.merged_from).where(func.cardinality(_t.merged_from) > 0))
# Of an erased one the log does not say any more who they were.
_merged_customers, _CUSTOMERS = _sources(
    customers, customer_merges, _c.erased_at.is_(None),
    select(func.count()).where(_t.customer_id == _c.id).correlate(customers).scalar_subquery().label("tickets"),
)  # fmt: skip
_CUSTOMERS_TOLD = Query(
    select(_e.subject_id.label("id"), _e.type, _e.occurred_at, _e.data)
    .where(
        _e.subject_id.in_(_merged_customers),
        or_(
            _e.type == any_(array(["customer.merged", "customer.unmerged"])),
            and_(_e.type == "customer.updated", _e.data["changes"].has_key("merged_into")),
        ),
    )
    .order_by(_e.id)
)
_DROPPED = Query(select(_dropped_before.label("before")))


@dataclass(frozen=True, slots=True)
class MergeDifference:
    kind: str
    id: UUID
    field: str
    stored: object
    computed: object


async def verify_merges(tx: Transaction) -> tuple[int, list[MergeDifference]]:
    """How many tickets and customers are or were merged, and what differs. Reads a snapshot."""
    await tx.snapshot()
    dropped = await tx.row(_DROPPED)
    assert dropped is not None
    whole = dropped["before"] is None
    some = await tx.rows(_TICKETS)
    found = list(_differences("ticket", some, _told(await tx.rows(_TICKETS_TOLD)), whole))
    found += _misplaced(some, await tx.rows(_INTO))
    others = await tx.rows(_CUSTOMERS)
    found += _differences("customer", others, _told(await tx.rows(_CUSTOMERS_TOLD)), whole)
    found += [
        MergeDifference("customer", row["id"], "tickets", row["tickets"], 0)
        for row in others
        if row["merged_into"] and row["tickets"]
    ]
    return len(some) + len(others), found


def _told(rows: Iterable[Row]) -> dict[UUID, UUID | None]:
    """Where each of them went, by the last event that says so."""
    found: dict[UUID, UUID | None] = {}
    for row in rows:
        data = row["data"]
        if row["type"] == "customer.updated":
            found[row["id"]] = UUID(data["changes"]["merged_into"]["after"])
        elif row["type"].startswith("ticket."):
            found[row["id"]] = UUID(data["into"]) if row["type"] == "ticket.merged" else None
        elif data["source_id"] == str(row["id"]):
            found[row["id"]] = UUID(data["target_id"]) if row["type"] == "customer.merged" else None
    return found


def _differences(
    kind: str, rows: Iterable[Row], told: Mapping[UUID, UUID | None], whole: bool
) -> Iterable[MergeDifference]:
    for row in rows:
        id_ = row["id"]
        if (whole or id_ in told) and row["merged_into"] != told.get(id_):
            yield MergeDifference(kind, id_, "merged_into", row["merged_into"], told.get(id_))
        # What a customer was merged into may be merged on, and then they are with whom that went into.
        same = row["merged_into"] is not None if kind == "customer" else row["merged_into"] == row["target_id"]
        # Before merges could be undone, none was written down.
        if row["merged_at"] and not same:
            yield MergeDifference(kind, id_, "merge", row["target_id"], row["merged_into"])


def _misplaced(sources: Iterable[Row], targets: Iterable[Row]) -> Iterable[MergeDifference]:
    """What a ticket says went into it, against where those that went say they are."""
    into = {row["id"]: row["merged_into"] for row in sources if row["merged_into"]}
    wanted: dict[UUID, set[UUID]] = {}
    for id_ in into:
        passed = {id_}
        target = into[id_]
        while target is not None and target not in passed:
            wanted.setdefault(target, set()).add(id_)
            passed.add(target)
            target = into.get(target)
    stored = {row["id"]: set(row["merged_from"]) for row in targets}
    for id_ in sorted(stored.keys() | wanted.keys()):
        if stored.get(id_, set()) != wanted.get(id_, set()):
            yield MergeDifference(
                "ticket", id_, "merged_from", sorted(stored.get(id_, ())), sorted(wanted.get(id_, ()))
            )
