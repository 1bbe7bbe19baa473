"""Importing tickets with their past. Each ticket goes in whole or not at all, an `external_id` that is there already is
left untouched, and breaches of the past are facts that nobody is told of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ARRAY, Text, any_, bindparam, func, insert, select
from uuid_utils.compat import uuid7

from app.agents.tables import agents
from app.customers.tables import customers
from app.db import Query, Transaction
from app.errors import AppError, FieldError, Invalid, Malformed
from app.events import log
from app.sla import clocks, policies
from app.sla.core.policy import Policy
from app.sla.core.words import AuthorKind
from app.tickets.imports.history import Happened, check, lived, walk
from app.tickets.imports.schemas import READER, ImportedAssignee, ImportedTicket, ImportOutcome
from app.tickets.messages import INSERT as INSERT_MESSAGE
from app.tickets.store import MUTABLE
from app.tickets.tables import tickets
from app.web.problems import as_problem, pointer

_asked = bindparam("external_ids", type_=ARRAY(Text))
_NOW = Query(select(func.clock_timestamp().label("now"), policies.REVISION.label("revision")))
_TICKETS = Query(select(tickets.c.external_id, tickets.c.id).where(tickets.c.external_id == any_(_asked)))
# Who was merged is the one they were merged into.
_CUSTOMERS = Query(
    select(customers.c.external_id, func.coalesce(customers.c.merged_into, customers.c.id).label("id")).where(
        customers.c.external_id == any_(_asked)
    )
)
_AGENTS = Query(select(agents.c.external_id, agents.c.id).where(agents.c.external_id == any_(_asked)))
_INSERT = Query(insert(tickets), ["id", "customer_id", "opened_by", "created_at", *MUTABLE, "updated_at", "imported"])
_INSERT_CUSTOMER = Query(insert(customers), ["id", "external_id", "name"])
_INSERT_AGENT = Query(insert(agents), ["id", "external_id", "name", "active"])

Item = dict[str, Any]


async def import_tickets(tx: Transaction, who: log.By, batch: Sequence[object]) -> dict[str, Any]:
    """The outcome of each ticket of the batch, in order."""
    seen = await tx.row(_NOW)
    assert seen is not None
    now: datetime = seen["now"]
    items = [_read(raw, now) for raw in batch]
    fresh = await _new_ones(tx, items)
    customer_ids = await _ids(tx, _CUSTOMERS, {item.customer.external_id for item in fresh})
    agent_ids = await _ids(tx, _AGENTS, _agents_named(fresh))
    _make_customers(tx, who, fresh, customer_ids, now)
    _make_agents(tx, who, fresh, agent_ids, now)
    in_force = await policies.in_force(tx, seen["revision"])
    outcomes = []
    created: dict[str, UUID] = {}
    waiting = {item.external_id: item for item in fresh}
    for item in items:
        if not isinstance(item, ImportedTicket):
            outcomes.append(item)
        elif waiting.get(item.external_id) is item:
            created[item.external_id] = _write(tx, item, customer_ids, agent_ids, in_force, now)
            outcomes.append(_outcome(item, ImportOutcome.created, created[item.external_id]))
        else:
            outcomes.append(_outcome(item, ImportOutcome.duplicate, None))
    await _name_duplicates(tx, outcomes, created)
    counts = {outcome.value: sum(item["outcome"] is outcome for item in outcomes) for outcome in ImportOutcome}
    return {"items": outcomes, **counts}


def _read(raw: object, now: datetime) -> ImportedTicket | Item:
    """The ticket, or why it is rejected."""
    if isinstance(raw, Malformed):
        return _rejected(None, raw)
    try:
        item = READER.validate_python(raw)
        check(item, now)
    except ValidationError as wrong:
        errors = tuple(
            FieldError(_pointer(e["loc"], e["type"]), e["type"], e["msg"]) for e in wrong.errors(include_url=False)
        )
        return _rejected(raw, Invalid(f"{errors[0].pointer}: {errors[0].detail}", errors=errors))
    except Invalid as wrong:
        return _rejected(raw, wrong)
    return item


def _pointer(location: tuple[int | str, ...], code: str) -> str:
    """Into the ticket as it was sent. Pydantic puts the kind of an entry between its index and its parts, and stops
    before `kind` where that is what is wrong."""
    if location[:1] == ("timeline",) and len(location) > 2:
        location = (*location[:2], *location[3:])
    return pointer((*location, "kind") if code.startswith("union_tag") else location)


async def _new_ones(tx: Transaction, items: Iterable[ImportedTicket | Item]) -> list[ImportedTicket]:
    """Those whose external id is not there yet, the first of each."""
    first: dict[str, ImportedTicket] = {}
    for item in items:
        if isinstance(item, ImportedTicket):
            first.setdefault(item.external_id, item)
    known = await _ids(tx, _TICKETS, first)
    return [item for external_id, item in first.items() if external_id not in known]


async def _ids(tx: Transaction, query: Query, external_ids: Iterable[str]) -> dict[str, UUID]:
    return {row["external_id"]: row["id"] for row in await tx.rows(query, external_ids=list(external_ids))}


def _agents_named(items: Iterable[ImportedTicket]) -> set[str]:
    return {
        entry.assignee.external_id
        for item in items
        for entry in item.timeline
        if isinstance(entry, ImportedAssignee) and entry.assignee
    }


def _make_customers(
    tx: Transaction, who: log.By, items: Iterable[ImportedTicket], known: dict[str, UUID], now: datetime
) -> None:
    for item in items:
        external_id, name = item.customer.external_id, item.customer.name
        if external_id not in known:
            id_ = known[external_id] = uuid7()
            tx.write(_INSERT_CUSTOMER, retry_on="uq_customers_external_id", id=id_, external_id=external_id, name=name)
            data = {"after": {"external_id": external_id, "name": name}}
            log.record(tx, who, "customer.created", id_, now, data, imported=True)


def _make_agents(
    tx: Transaction, who: log.By, items: Iterable[ImportedTicket], known: dict[str, UUID], now: datetime
) -> None:
    """Agents of the past are added inactive: whoever still works here is made active by hand."""
    for external_id in sorted(_agents_named(items) - set(known)):
        id_ = known[external_id] = uuid7()
        values = {"external_id": external_id, "name": external_id, "active": False}
        tx.write(_INSERT_AGENT, retry_on="uq_agents_external_id", id=id_, **values)
        log.record(tx, who, "agent.created", id_, now, {"after": values}, imported=True)


def _write(
    tx: Transaction,
    item: ImportedTicket,
    customer_ids: dict[str, UUID],
    agent_ids: dict[str, UUID],
    in_force: Sequence[Policy],
    now: datetime,
) -> UUID:
    id_ = uuid7()
    customer_id = customer_ids[item.customer.external_id]
    history = walk(item, id_, customer_id, agent_ids, in_force)
    # A concurrent import of the same ticket: this batch is run again and finds it a duplicate.
    after, broken = lived(history.entries)
    due_at = clocks.next_due(after)
    tx.write(_INSERT, retry_on="uq_tickets_external_id", imported=True, **history.ticket, due_at=due_at)
    for happened in history.events:
        _record(tx, id_, customer_id, happened)
    clocks.insert_history(tx, id_, after, now, broken)
    return id_


def _record(tx: Transaction, ticket_id: UUID, customer_id: UUID, happened: Happened) -> None:
    author = log.By(happened.who, customer_id if happened.who is AuthorKind.customer else None)
    subject_id = ticket_id
    if message := happened.message:
        subject_id = uuid7()
        tx.write(
            INSERT_MESSAGE, id=subject_id, ticket_id=ticket_id, author_kind=author.kind, author_id=author.id,
            visibility=message.visibility, body=message.body, created_at=message.at,
        )  # fmt: skip
    log.record(
        tx, author, happened.type, subject_id, happened.at, happened.data,
        ticket_id=ticket_id, internal=happened.internal, imported=True,
    )  # fmt: skip


def _rejected(raw: object, why: AppError) -> Item:
    external_id = raw.get("external_id") if isinstance(raw, dict) else None
    return {
        "external_id": external_id if isinstance(external_id, str) else None,
        "ticket_id": None,
        "outcome": ImportOutcome.rejected,
        "problem": as_problem(why, "/v1/imports/tickets"),
    }


def _outcome(item: ImportedTicket, outcome: ImportOutcome, ticket_id: UUID | None) -> Item:
    return {"external_id": item.external_id, "ticket_id": ticket_id, "outcome": outcome, "problem": None}


async def _name_duplicates(tx: Transaction, outcomes: Iterable[Item], created: dict[str, UUID]) -> None:
    """A duplicate is answered with the id of the ticket that is there."""
    nameless = [item for item in outcomes if item["outcome"] is ImportOutcome.duplicate]
    if nameless:
        known = await _ids(tx, _TICKETS, {item["external_id"] for item in nameless}) | created
        for item in nameless:
            item["ticket_id"] = known.get(item["external_id"])
