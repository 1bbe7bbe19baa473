"""Recompute every clock from the log and compare it with what is stored. The stored clocks are only a faster way to
know what the log says; where the two differ, one of them is a bug."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, func, select

from app.db import Database, Query, Row, Values
from app.events.tables import events
from app.sla import clocks, policies
from app.sla.core.clock import Clock
from app.sla.core.engine import replay
from app.sla.core.policy import Policy, Priority
from app.sla.core.timeline import AuthorKind, Covered, Entry, Opened, Said, Status, StatusSet
from app.sla.tables import sla_clocks
from app.tickets.tables import tickets

BATCH = 1000
Versions = Mapping[tuple[UUID, int], Policy]

_batch = any_(bindparam("ticket_ids", type_=ARRAY(Uuid)))
_IDS = Query(select(tickets.c.id).where(tickets.c.id > bindparam("after")).order_by(tickets.c.id).limit(BATCH))
_EVENTS = Query(
    select(events.c.ticket_id, events.c.type, events.c.occurred_at, events.c.actor_kind, events.c.data)
    .where(events.c.ticket_id == _batch, events.c.type.not_like("sla.%") | (events.c.type == "sla.policy_applied"))
    .order_by(events.c.ticket_id, events.c.id)
)
_CLOCKS = Query(select(sla_clocks, func.clock_timestamp().label("now")).where(sla_clocks.c.ticket_id == _batch))


@dataclass(frozen=True, slots=True)
class Difference:
    ticket_id: UUID
    clock: str
    field: str
    stored: object
    computed: object


async def verify(db: Database) -> AsyncIterator[tuple[int, list[Difference]]]:
    """How many tickets each batch held, and what differs in it. Each batch is read in one snapshot of its own, so that
    a live database can be verified."""
    after = UUID(int=0)
    while True:
        async with db.transaction() as tx:
            await tx.snapshot()
            ids = [row["id"] for row in await tx.rows(_IDS, after=after)]
            if not ids:
                return
            versions = await policies.every_version(tx)
            log = await tx.rows(_EVENTS, ticket_ids=ids)
            stored = await tx.rows(_CLOCKS, ticket_ids=ids)
        yield len(ids), list(_differences(ids, log, stored, versions))
        after = ids[-1]


def _differences(ids: list[UUID], log: list[Row], stored: list[Row], versions: Versions) -> Iterable[Difference]:
    computed: dict[UUID, list[Clock]] = {id_: [] for id_ in ids}
    for ticket_id, rows in groupby(log, key=lambda row: row["ticket_id"]):
        computed[ticket_id] = list(replay(entry for row in rows for entry in entries_of(row, versions)).clocks)
    held: dict[UUID, dict[clocks.Key, Clock]] = {id_: {} for id_ in ids}
    for row in stored:
        clock = clocks.as_clock(row)
        held[row["ticket_id"]][clocks.key(clock)] = clock
        yield from _unwatched(row, clock)
    for ticket_id in ids:
        yield from _compare(ticket_id, held[ticket_id], {clocks.key(clock): clock for clock in computed[ticket_id]})


def _unwatched(row: Row, clock: Clock) -> Iterable[Difference]:
    """A clock that the sweep would pass by. What has passed may be dealt with already; what is to come is not."""
    name = f"{clock.metric}/{clock.cycle}"
    upcoming = clock.next_at(after=row["now"])
    if upcoming and (row["next_at"] is None or row["next_at"] > upcoming):
        yield Difference(row["ticket_id"], name, "next_at", row["next_at"], upcoming)
    if tuple(row["warnings"]) != clock.warnings():
        yield Difference(row["ticket_id"], name, "warnings", row["warnings"], clock.warnings())


def _compare(
    ticket_id: UUID, stored: dict[clocks.Key, Clock], computed: dict[clocks.Key, Clock]
) -> Iterable[Difference]:
    for key in sorted(stored.keys() | computed.keys()):
        name = f"{key[0]}/{key[1]}"
        if key not in stored or key not in computed:
            yield Difference(ticket_id, name, "exists", key in stored, key in computed)
            continue
        for field in fields(Clock):
            is_, should = getattr(stored[key], field.name), getattr(computed[key], field.name)
            if is_ != should:
                yield Difference(ticket_id, name, field.name, is_, should)


def entries_of(row: Values, versions: Versions) -> list[Entry]:
    """What one event of the log means to the clocks."""
    at, data, who = row["occurred_at"], row["data"], AuthorKind(row["actor_kind"])
    match row["type"]:
        case "ticket.created":
            opened = Opened(at, AuthorKind(data["opened_by"]), Status(data["status"]))
            return [_covered(row, versions), opened]
        case "sla.policy_applied":
            return [_covered(row, versions)]
        case "message.created":
            return [] if data["opening"] else [Said(at, who, data["visibility"] == "public")]
        case "ticket.status_changed":
            return [StatusSet(at, Status(data["changes"]["status"]["after"]), who)]
    return []


def _covered(row: Values, versions: Versions) -> Covered:
    data = row["data"]
    policy = versions[UUID(data["policy_id"]), data["policy_version"]] if data["policy_id"] else None
    return Covered(row["occurred_at"], policy, Priority(data["priority"]))
