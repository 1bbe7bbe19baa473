"""Append to the event log. An event is written by the transaction that did what it tells of, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Insert, Text, Uuid, bindparam, cast, insert, literal, null, select

from app.auth.dependencies import Actor
from app.db import Query, Transaction, Values
from app.events.catalogue import CATALOGUE, known
from app.events.tables import events
from app.tracing import traceparent

INSERT = Query(
    insert(events),
    [
        "type", "occurred_at", "actor_kind", "actor_id", "subject_id", "ticket_id", "ticket_version", "internal",
        "imported", "data", "traceparent",
    ],
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ActorRef:
    """Who did it: a customer, agent or bot by id, or the system."""

    kind: str
    id: UUID | None = None


SYSTEM = ActorRef("system")


def actor_ref(actor: Actor | None) -> ActorRef:
    """Who the log names for this actor; None is the system itself. Who bears several tokens is one."""
    return ActorRef(actor.kind, actor.person_id or actor.bearer_id) if actor else SYSTEM


def actor_of(row: Values, column: str) -> dict[str, Any]:
    """Who did it, as answers name them, from `column` with the endings `_kind` and `_id`."""
    return {"kind": row[f"{column}_kind"], "id": row[f"{column}_id"]}


def actor_params(who: ActorRef) -> dict[str, Any]:
    """Who did it, as the statements of `record_for_rows` want it."""
    return {"actor_kind": who.kind, "actor_id": who.id, "traceparent": traceparent()}


def record(
    tx: Transaction,
    who: ActorRef,
    type_: str,
    subject_id: UUID,
    now: datetime,
    data: Mapping[str, Any],
    *,
    ticket_id: UUID | None = None,
    internal: bool = False,
    imported: bool = False,
) -> None:
    """Queue one event, of a type of the catalogue. `data` must be JSON; `internal` keeps it from customers."""
    tx.write(
        INSERT,
        type=known(type_),
        occurred_at=now,
        **actor_params(who),
        subject_id=subject_id,
        ticket_id=ticket_id,
        ticket_version=None,
        internal=internal,
        imported=imported,
        data=data,
    )


def stamp_version(tx: Transaction, ticket_id: UUID, version: int) -> None:
    """What is queued on a ticket bears the version that the same transaction makes of it."""
    for row in tx.queued(INSERT):
        if row["ticket_id"] == ticket_id:
            row["ticket_version"] = version


def tells_customers(tx: Transaction, ticket_id: UUID) -> bool:
    """Whether what is queued on a ticket has something in it that its customer is told of."""
    return any(
        row["ticket_id"] == ticket_id and not row["internal"] and CATALOGUE[row["type"]].told_to_customers
        for row in tx.queued(INSERT)
    )


def record_for_rows(
    changed: CTE, type_: str, data: ColumnElement[Any], *, of_tickets: bool = False, internal: bool = False
) -> Insert:
    """One event for each row of a statement that changes many things: `changed` has `id` and `at`. Its parameters are
    those of `actor_params`."""
    return insert(events).from_select(
        ["type", "occurred_at", "actor_kind", "actor_id", "subject_id", "ticket_id", "internal", "data", "traceparent"],
        select(
            literal(known(type_), Text),
            changed.c.at,
            bindparam("actor_kind", type_=Text),
            bindparam("actor_id", type_=Uuid),
            changed.c.id,
            changed.c.id if of_tickets else cast(null(), Uuid),
            literal(internal),
            data,
            bindparam("traceparent", type_=Text),
        ).order_by(changed.c.id),
    )


def changes(before: Values, after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What differs, for the audit: {field: {before, after}}."""
    return {
        name: {"before": before[name], "after": value} for name, value in after.items() if differ(before[name], value)
    }


def differ(before: Any, after: Any) -> bool:
    """Also where an object's member goes from 1 to true, which are the same to Python."""
    if before != after or not isinstance(after, dict):
        return bool(before != after)
    return any(isinstance(before[name], bool) is not isinstance(value, bool) for name, value in after.items())
