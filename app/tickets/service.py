"""What is done with tickets, one verb a function, in the words of those who do it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, exists, func, insert, select
from uuid_utils.compat import uuid7

from app.agents.tables import agents, teams
from app.auth.guard import Actor
from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events import log
from app.events.resource import merged
from app.sla import clocks, policies
from app.sla.core.engine import replay
from app.sla.core.timeline import Entry, Opened, Said, StatusSet
from app.sla.core.words import DONE, AuthorKind, Status
from app.tickets.facts import MATCHED, cover_columns, cover_data
from app.tickets.lifecycle import Visibility, after_message, check_transition
from app.tickets.permissions import author_of, check_message, check_opening, check_patch, customer_of
from app.tickets.schemas import CustomerRef, MessageIn, TicketIn, TicketPatch
from app.tickets.store import (
    INSERT,
    INSERT_MESSAGE,
    Locked,
    apply,
    covered,
    lock_ticket,
    rematched,
    update_ticket,
)
from app.tickets.tables import NUMBERS
from app.web.etag import require
from app.web.schemas import fold


def _before_opening(customer: ColumnElement[bool]) -> Query:
    """All that opening a ticket has to know, in one read."""
    found = select(customers.c.id).where(customer).order_by(customers.c.created_at).limit(1)
    return Query(
        select(
            func.clock_timestamp().label("now"),
            NUMBERS.next_value().label("number"),
            policies.REVISION.label("revision"),
            found.scalar_subquery().label("customer_id"),
            *_known_people(),
        )
    )


def _known_people() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    agent = exists().where(agents.c.id == bindparam("assignee_id"), agents.c.active)
    return agent.label("agent_known"), exists().where(teams.c.id == bindparam("team_id")).label("team_known")


_BY_ID = _before_opening(customers.c.id == bindparam("customer"))
_BY_EXTERNAL_ID = _before_opening(customers.c.external_id == bindparam("customer"))
_BY_EMAIL = _before_opening(customers.c.email_folded == bindparam("customer"))
_PEOPLE = Query(select(*_known_people()))
_INSERT_CUSTOMER = Query(insert(customers), ["id", "external_id", "name", "email", "email_folded"])


async def open_ticket(tx: Transaction, actor: Actor, body: TicketIn) -> Mapping[str, Any]:
    """One read, one write. The customer is made when not known yet."""
    ref = customer_of(actor, body.customer)
    check_opening(actor, body)
    query, wanted = _lookup(ref)
    seen = await tx.row(query, customer=wanted, assignee_id=body.assignee_id, team_id=body.team_id)
    assert seen is not None
    _check_people(seen, body.assignee_id, body.team_id)
    now: datetime = seen["now"]
    ticket: dict[str, Any] = {
        **body.model_dump(exclude={"customer", "description"}),
        "id": uuid7(),
        "number": seen["number"],
        "status": Status.new,
        "customer_id": seen["customer_id"] or _make_customer(tx, actor, ref, now),
        "custom_fields": merged("/custom_fields", {}, body.custom_fields),
        "created_at": now,
        "updated_at": now,
        "resolved_at": None,
        "closed_at": None,
        "merged_into": None,
    }
    cover = await covered(tx, seen["revision"], ticket, now)
    tx.write(INSERT, **ticket, **cover_columns(cover))
    after = replay((cover, Opened(now, AuthorKind.customer)))
    who = log.by(actor)
    data = {"opened_by": AuthorKind.customer, "status": Status.new, **cover_data(cover)}
    log.record(tx, who, "ticket.created", ticket["id"], now, data, ticket_id=ticket["id"])
    clocks.write(tx, who, ticket["id"], {}, (), after.clocks, now)
    if body.description is not None:
        author = log.By("customer", ticket["customer_id"])
        _write_message(tx, ticket["id"], author, Visibility.public, body.description, now, opening=True)
    return {**ticket, "version": 1}


async def reply(tx: Transaction, actor: Actor, ticket_id: UUID, body: MessageIn) -> dict[str, Any]:
    """A message, and what it brings about: it may stop a clock, move the status, and carry a status and an assignee.
    The message is applied first."""
    author = author_of(actor, body.author)
    check_message(actor, body)
    locked = await lock_ticket(tx, actor, ticket_id)
    if author == log.By("customer"):
        author = log.By("customer", locked.ticket["customer_id"])
    if body.assignee_id:
        await _check_known(tx, body.assignee_id, None)
    before = Status(locked.ticket["status"])
    kind = AuthorKind(author.kind)
    policy = locked.state.policy
    moved = after_message(before, kind, body.visibility, reopens=policy is None or policy.reopen_on_customer_message)
    wanted = body.status or moved
    check_transition(moved, wanted)
    entries, values = await _reopened(tx, locked, before, wanted)
    message = _write_message(tx, locked.id, author, body.visibility, body.body, locked.now)
    entries.append(Said(locked.now, kind, body.visibility is Visibility.public))
    if moved is not before:
        entries.append(StatusSet(locked.now, moved, kind))
        _record_status(tx, author, locked, before, moved)
    if wanted is not moved:
        entries.append(StatusSet(locked.now, wanted, AuthorKind(actor.kind)))
        _record_status(tx, log.by(actor), locked, moved, wanted)
    apply(tx, author, locked, entries)
    values |= _status_values(locked, before, moved) | _status_values(locked, moved, wanted)
    if body.assignee_id and body.assignee_id != locked.ticket["assignee_id"]:
        values["assignee_id"] = body.assignee_id
        _record_update(tx, actor, locked, {"assignee_id": body.assignee_id})
    if values or body.visibility is Visibility.public:
        # A note that changes nothing leaves the version alone: the ETag would tell the customer of it.
        update_ticket(tx, locked, values)
    return message


async def change_ticket(
    tx: Transaction, actor: Actor, ticket_id: UUID, patch: TicketPatch, if_match: str | None
) -> Mapping[str, Any]:
    """Merge patch. A changed attribute that conditions read puts the ticket under the policy that is in force now."""
    values = patch.model_dump()
    check_patch(actor, values)
    locked = await lock_ticket(tx, actor, ticket_id)
    require(if_match, locked.ticket["version"])
    await _check_known(tx, values.get("assignee_id"), values.get("team_id"))
    if "custom_fields" in values:
        values["custom_fields"] = merged("/custom_fields", locked.ticket["custom_fields"], values["custom_fields"])
    values = {name: value for name, value in values.items() if locked.ticket[name] != value}
    if not values:
        return locked.ticket
    _record_update(tx, actor, locked, {name: value for name, value in values.items() if name != "status"})
    before = Status(locked.ticket["status"])
    wanted = Status(values.get("status", before))
    check_transition(before, wanted)
    changed = [name for name in MATCHED if name in values]
    if changed:
        cover = await rematched(tx, locked, {**locked.ticket, **values}, f"{', '.join(changed)} changed")
        entries: list[Entry] = [cover] if cover else []
        values |= cover_columns(cover) if cover else {}
    else:
        entries, cover_values = await _reopened(tx, locked, before, wanted)
        values |= cover_values
    if wanted is not before:
        entries.append(StatusSet(locked.now, wanted, AuthorKind(actor.kind)))
        _record_status(tx, log.by(actor), locked, before, wanted)
    apply(tx, log.by(actor), locked, entries)
    return update_ticket(tx, locked, values | _status_values(locked, before, wanted))


async def _reopened(
    tx: Transaction, locked: Locked, before: Status, after: Status
) -> tuple[list[Entry], dict[str, Any]]:
    """What is promised may be another thing by the time a ticket is reopened: it comes under the policy of today."""
    if before not in DONE or after in DONE:
        return [], {}
    cover = await rematched(tx, locked, locked.ticket, "reopened")
    return ([cover], cover_columns(cover)) if cover else ([], {})


def _lookup(ref: CustomerRef) -> tuple[Query, object]:
    if ref.id:
        return _BY_ID, ref.id
    if ref.external_id:
        return _BY_EXTERNAL_ID, ref.external_id
    return _BY_EMAIL, fold(ref.email) if ref.email else None


def _make_customer(tx: Transaction, actor: Actor, ref: CustomerRef, now: datetime) -> UUID:
    if ref.id:
        raise Invalid.at("/customer/id", "unknown", "there is no customer with this id")
    id_ = uuid7()
    folded = fold(ref.email) if ref.email else None
    # Another caller may be making the same customer: then this unit is run again and finds theirs.
    constraint = "uq_customers_external_id" if ref.external_id else "uq_customers_email_folded"
    tx.write(
        _INSERT_CUSTOMER, retry_on=constraint,
        id=id_, external_id=ref.external_id, name=ref.name, email=ref.email, email_folded=folded,
    )  # fmt: skip
    data = {"after": {"external_id": ref.external_id, "name": ref.name, "email": ref.email}}
    log.record(tx, log.by(actor), "customer.created", id_, now, data)
    return id_


async def _check_known(tx: Transaction, assignee_id: UUID | None, team_id: UUID | None) -> None:
    if assignee_id or team_id:
        row = await tx.row(_PEOPLE, assignee_id=assignee_id, team_id=team_id)
        assert row is not None
        _check_people(row, assignee_id, team_id)


def _check_people(seen: Row, assignee_id: UUID | None, team_id: UUID | None) -> None:
    if assignee_id and not seen["agent_known"]:
        raise Invalid.at("/assignee_id", "unknown", "there is no active agent with this id")
    if team_id and not seen["team_known"]:
        raise Invalid.at("/team_id", "unknown", "there is no team with this id")


def _status_values(locked: Locked, before: Status, after: Status) -> dict[str, Any]:
    if after is before:
        return {}
    values: dict[str, Any] = {"status": after}
    if after is Status.resolved:
        values["resolved_at"] = locked.now
    elif after is Status.closed:
        values["closed_at"] = locked.now
    elif before is Status.resolved:
        values["resolved_at"] = None
    return values


def _write_message(
    tx: Transaction,
    ticket_id: UUID,
    author: log.By,
    visibility: Visibility,
    body: str,
    now: datetime,
    *,
    opening: bool = False,
) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": uuid7(), "ticket_id": ticket_id, "author_kind": author.kind, "author_id": author.id,
        "visibility": visibility, "body": body, "created_at": now,
    }  # fmt: skip
    tx.write(INSERT_MESSAGE, **message)
    # The text stays out of the log: a log entry outlives an erased customer.
    data = {"visibility": visibility, "opening": opening}
    internal = visibility is Visibility.internal
    log.record(tx, author, "message.created", message["id"], now, data, ticket_id=ticket_id, internal=internal)
    return {
        **message,
        "author": {"kind": author.kind, "id": author.id},
        "edited_at": None,
        "deleted_at": None,
        "version": 1,
    }


def _record_status(tx: Transaction, who: log.By, locked: Locked, before: Status, after: Status) -> None:
    data = {"changes": {"status": {"before": before, "after": after}}}
    log.record(tx, who, "ticket.status_changed", locked.id, locked.now, data, ticket_id=locked.id)


def _record_update(tx: Transaction, actor: Actor, locked: Locked, values: Mapping[str, Any]) -> None:
    if changes := log.changes(locked.ticket, values):
        who, data = log.by(actor), {"changes": changes}
        log.record(tx, who, "ticket.updated", locked.id, locked.now, data, ticket_id=locked.id, internal=True)
