"""Importing tickets with their past. Each ticket goes in whole or not at all, an `external_id` that is there already is
left untouched, and breaches of the past are facts that nobody is told of."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ARRAY, Text, any_, bindparam, func, insert, select
from uuid_utils.compat import uuid7

from app.db import Query, Transaction
from app.errors import AppError, FieldError, Invalid, Malformed
from app.events import log
from app.imports.history import Happened, Parts, Under, check, lived, walk
from app.imports.people import Finder, People, agents_named
from app.imports.schemas import READER, ImportedTicket, ImportOutcome
from app.segments import service as segments
from app.sla import broad_exceptions, clocks, policies
from app.sla.core.enums import AuthorKind
from app.tickets.messages import INSERT as INSERT_MESSAGE
from app.tickets.quality import INSERT as INSERT_RESOLUTION
from app.tickets.store import MUTABLE
from app.tickets.tables import tickets
from app.web.problems import as_problem, pointer
from app.web.schemas import fold
from app.web.slices import in_slices

_asked = bindparam("external_ids", type_=ARRAY(Text))
_NOW = Query(
    select(
        func.clock_timestamp().label("now"),
        policies.REVISION.label("revision"),
        segments.REVISION.label("segment_revision"),
    )
)
_TICKETS = Query(select(tickets.c.external_id, tickets.c.id).where(tickets.c.external_id == any_(_asked)))
_INSERT = Query(
    insert(tickets),
    [
        "id",
        "customer_id",
        "opened_by",
        "created_at",
        *MUTABLE,
        "updated_at",
        "imported",
        "segment",
        "exceptions",
        "old_number",
    ],
)
Item = dict[str, Any]
# Of one ticket: a batch may hold millions of things that are wrong, and each is longer told than sent.
_MOST_ERRORS = 10
_LONGEST_ID = 255


async def import_tickets(tx: Transaction, who: log.ActorRef, batch: Sequence[object]) -> dict[str, Any]:
    """The outcome of each ticket of the batch, in order."""
    seen = await tx.row(_NOW)
    assert seen is not None
    now: datetime = seen["now"]
    items = [_read(raw, now) async for raw in in_slices(batch)]
    fresh = await _new_ones(tx, items)
    finder = Finder(fresh)
    await finder.read(tx, fresh)
    refused = {item.external_id: wrong async for item in in_slices(fresh) if (wrong := _wrong(finder, item))}
    waiting = {item.external_id: item for item in fresh if item.external_id not in refused}
    people = await finder.make(tx, who, list(waiting.values()), seen)
    in_force = await policies.in_force(tx, seen["revision"])
    broad = await broad_exceptions.IN_FORCE.at(tx, seen["revision"])
    outcomes = []
    created: dict[str, UUID] = {}
    async for item in in_slices(items):
        if not isinstance(item, ImportedTicket):
            outcomes.append(item)
        elif item.external_id in refused:
            outcomes.append(refused[item.external_id])
        elif waiting.get(item.external_id) is item:
            under = Under(in_force, broad, people.customers[item.customer.external_id].context)
            created[item.external_id] = _write(tx, item, people, under, now)
            new_agents = sorted(people.new_agents.intersection(agents_named([item])))
            outcomes.append(_outcome(item, ImportOutcome.created, created[item.external_id], new_agents))
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
        found = wrong.errors(include_url=False, include_input=False)
        errors = tuple(FieldError(_pointer(e["loc"], e["type"]), e["type"], e["msg"]) for e in found[:_MOST_ERRORS])
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return _rejected(raw, Invalid(f"{errors[0].pointer}: {errors[0].detail}{more}", errors=errors))
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
    known = await _ids(tx, first)
    return [item for external_id, item in first.items() if external_id not in known]


def _wrong(finder: Finder, item: ImportedTicket) -> Item | None:
    try:
        finder.check(item)
    except Invalid as wrong:
        return _rejected({"external_id": item.external_id}, wrong)
    return None


async def _ids(tx: Transaction, external_ids: Iterable[str]) -> dict[str, UUID]:
    return {row["external_id"]: row["id"] for row in await tx.rows(_TICKETS, external_ids=list(external_ids))}


def _write(
    tx: Transaction,
    item: ImportedTicket,
    people: People,
    under: Under,
    now: datetime,
) -> UUID:
    id_ = uuid7()
    customer = people.customers[item.customer.external_id]
    team_id = people.teams[fold(item.team)] if item.team else None
    history = walk(item, id_, Parts(people.agents, team_id, customer.organization_id), under, now)
    # A concurrent import of the same ticket: this batch is run again and finds it a duplicate.
    after, kept, former = lived(history.entries)
    tx.write(_INSERT, retry_on="uq_tickets_external_id", imported=True, **history.ticket, **clocks.standing(after))
    for happened in history.events:
        _record(tx, history.ticket, _author(happened, under.context.customer_id, people), happened)
    for resolution in history.resolutions:
        tx.write(INSERT_RESOLUTION, id=uuid7(), ticket_id=id_, **resolution)
    clocks.insert_history(tx, id_, after, now, kept, former)
    return id_


def _author(happened: Happened, customer_id: UUID, people: People) -> log.ActorRef:
    if happened.who is AuthorKind.customer:
        return log.ActorRef(happened.who, customer_id)
    agent = happened.message.agent if happened.message else None
    return log.ActorRef(happened.who, people.agents[agent.external_id] if agent else None)


def _record(tx: Transaction, ticket: Mapping[str, Any], author: log.ActorRef, happened: Happened) -> None:
    ticket_id = ticket["id"]
    subject_id = ticket_id
    if message := happened.message:
        subject_id = uuid7()
        tx.write(
            INSERT_MESSAGE, id=subject_id, ticket_id=ticket_id, author_kind=author.kind, author_id=author.id,
            visibility=message.visibility, body=message.body, created_at=message.at, in_reply_to=None, sent_at=None,
            external_id=message.external_id, channel=ticket["channel"] if message.external_id else None,
            handling_seconds=None,
        )  # fmt: skip
    log.record(
        tx, author, happened.type, subject_id, happened.at, happened.data,
        ticket_id=ticket_id, internal=happened.internal, imported=True,
    )  # fmt: skip


def _rejected(raw: object, why: AppError) -> Item:
    external_id = raw.get("external_id") if isinstance(raw, dict) else None
    return {
        "external_id": external_id[:_LONGEST_ID] if isinstance(external_id, str) else None,
        "ticket_id": None,
        "outcome": ImportOutcome.rejected,
        "problem": as_problem(why, "/v1/imports/tickets"),
        "new_agents": [],
    }


def _outcome(
    item: ImportedTicket, outcome: ImportOutcome, ticket_id: UUID | None, new_agents: Sequence[str] = ()
) -> Item:
    return {
        "external_id": item.external_id, "ticket_id": ticket_id, "outcome": outcome, "problem": None,
        "new_agents": new_agents,
    }  # fmt: skip


async def _name_duplicates(tx: Transaction, outcomes: Iterable[Item], created: dict[str, UUID]) -> None:
    """A duplicate is answered with the id of the ticket that is there."""
    nameless = [item for item in outcomes if item["outcome"] is ImportOutcome.duplicate]
    if nameless:
        known = await _ids(tx, {item["external_id"] for item in nameless}) | created
        for item in nameless:
            item["ticket_id"] = known.get(item["external_id"])
