"""Merging: a ticket goes into another one of the same customer, which alone goes on, and comes back where that was
wrong. What they write on either is shown on that one, so another customer's would be shown to somebody else.

Nobody who waits is lost by it: the ticket that goes on has a clock from the oldest question that nobody answered."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.events.tables import events
from app.sla.core.clock import Clock, EndedReason
from app.sla.core.engine import running_response
from app.sla.core.enums import DONE, RESPONSES, AuthorKind, Status
from app.sla.core.timeline import ClocksEnded, ClocksRevived, WaitMoved
from app.tickets import participants
from app.tickets.changes import TicketChange, save
from app.tickets.lifecycle import Visibility, after_message
from app.tickets.queries import get_ticket
from app.tickets.rematching import rematch, rematch_with_exceptions
from app.tickets.rows import TicketRow
from app.tickets.store import LoadedTicket, lock_ticket
from app.tickets.tables import messages, ticket_followers, ticket_merges
from app.web.schemas import fold

_m, _f = ticket_merges.c, ticket_followers.c
_MERGE = Query(
    insert(ticket_merges),
    [
        "id", "source_id", "target_id", "merged_at", "source_status", "source_waiting_since", "target_waiting_since",
        "target_status", "target_version", "target_needed_human", "added_tags",
    ],
)  # fmt: skip
_LAST = Query(select(ticket_merges).where(_m.source_id == bindparam("source_id"), _m.undone_at.is_(None)))
_INTO = Query(
    select(ticket_merges).where(_m.target_id == bindparam("target_id")).order_by(_m.merged_at, _m.id)
)  # the undone ones, too: they tell since when the customer waited on the target
_UNDO = Query(update(ticket_merges).where(_m.id == bindparam("key_id")), ["undone_at"])
_target_id = bindparam("target_id", type_=Uuid)
_COPY_FOLLOWERS = Query(
    pg_insert(ticket_followers)
    .from_select(
        ["ticket_id", "agent_id", "created_at", "from_ticket_id"],
        select(_target_id, _f.agent_id, _f.created_at, func.coalesce(_f.from_ticket_id, _f.ticket_id)).where(
            _f.ticket_id == bindparam("source_id")
        ),
    )
    .on_conflict_do_nothing()
)
_DROP_FOLLOWERS = Query(
    delete(ticket_followers).where(
        _f.ticket_id == _target_id, _f.from_ticket_id == any_(bindparam("source_ids", type_=ARRAY(Uuid)))
    )
)
_since = bindparam("since", type_=messages.c.created_at.type)
_spoke = select(func.min(messages.c.created_at)).where(
    messages.c.ticket_id == _target_id,
    messages.c.author_kind == literal_column("'customer'"),
    messages.c.visibility == literal_column("'public'"),
    messages.c.created_at > _since,
)
_handed_off = select(func.min(events.c.occurred_at)).where(
    events.c.ticket_id == _target_id,
    events.c.type == literal_column("'ticket.handed_off'"),
    events.c.occurred_at > _since,
)
_ASKED = Query(select(func.least(_spoke.scalar_subquery(), _handed_off.scalar_subquery()).label("at")))


class CannotMerge(Conflict):
    """A ticket is merged once, into another one that is neither closed nor merged itself; spam is merged nowhere."""

    code = "cannot_merge"
    title = "These tickets cannot be merged"


class CannotUnmerge(Conflict):
    """Only the last merge of a ticket is undone, as long as the ticket that it went into was not merged on."""

    code = "cannot_unmerge"
    title = "The merge cannot be undone"


async def merge(tx: Transaction, actor: Actor, source_id: UUID, target_id: UUID) -> TicketRow:
    """Close the source and end its unfinished clocks. The target shows what the source had, and where the customer has
    waited longer on the source, they have waited so long on the target. The source as it is then."""
    if actor.is_customer:
        raise Forbidden("agents merge tickets")
    if source_id == target_id:
        raise CannotMerge("a ticket is not merged into itself")
    # In the order of their ids, as everybody locks two tickets.
    locked = {id_: await _lock(tx, actor, id_, source_id) for id_ in sorted((source_id, target_id))}
    source, target = locked[source_id], locked[target_id]
    _check_merging(source, target)
    after = await _absorb(tx, actor, source, target)
    _write_merge(tx, source, target, after)
    for copy in (_COPY_FOLLOWERS, participants.COPY):
        tx.write(copy, source_id=source_id, target_id=target_id)
    return _leave(tx, actor, source, target)


def _check_merging(source: LoadedTicket, target: LoadedTicket) -> None:
    if source.ticket["customer_id"] != target.ticket["customer_id"]:
        detail = "another customer's ticket: link them as duplicates, or merge the customers first"
        raise Invalid.at("/into", "customers_differ", detail)
    if source.ticket["merged_into"]:
        raise CannotMerge("it was merged before")
    if source.ticket["spam_at"]:
        raise CannotMerge("it is spam: say first that it is not")
    if target.ticket["merged_into"] or target.ticket["status"] == Status.closed:
        raise CannotMerge("the ticket to merge into is closed")


async def _absorb(tx: Transaction, actor: Actor, source: LoadedTicket, target: LoadedTicket) -> TicketRow:
    """The target's row, as it is then. A customer who waits on the source reopens it as if they wrote."""
    change = TicketChange(target, log.actor_ref(actor))
    before, waits, own = change.status, waiting_since(source), waiting_since(target)
    wanted = after_message(before, AuthorKind.customer, Visibility.public) if waits else before
    tags = target.ticket["tags"]
    known = {fold(tag) for tag in tags}
    added = [tag for tag in source.ticket["tags"] if fold(tag) not in known]
    change.values |= {
        "merged_from": [*target.ticket["merged_from"], source.id, *source.ticket["merged_from"]],
        "needs_human": target.ticket["needs_human"] or source.ticket["needs_human"],
    }
    if added:
        change.update({"tags": [*tags, *added]})
    if before in DONE and wanted not in DONE:
        await rematch_with_exceptions(tx, change, "merged")
    elif added:
        await rematch(tx, change, "merged")
    change.set_status(wanted)
    since = waits if waits and (own is None or waits < own) else None
    if since:
        change.add(WaitMoved(target.now, since))
    if waits:
        change.wake(because="customer")
    data = {"from": source.id, "number": source.ticket["number"], "waiting_since": since}
    # Customers see neither: the other ticket may be somebody else's once two customers are told apart again.
    change.record("ticket.absorbed", data, internal=True)
    return save(tx, change)


def _write_merge(tx: Transaction, source: LoadedTicket, target: LoadedTicket, after: Mapping[str, Any]) -> None:
    tx.write(
        _MERGE, retry_on="uq_ticket_merges_source_id", id=uuid7(), source_id=source.id, target_id=target.id,
        merged_at=source.now, source_status=source.ticket["status"], source_waiting_since=waiting_since(source),
        target_waiting_since=waiting_since(target), target_status=target.ticket["status"],
        target_version=after["version"], target_needed_human=target.ticket["needs_human"],
        added_tags=[tag for tag in after["tags"] if tag not in target.ticket["tags"]],
    )  # fmt: skip


def _leave(tx: Transaction, actor: Actor, source: LoadedTicket, target: LoadedTicket) -> TicketRow:
    """The source's row, as it is then."""
    change = TicketChange(source, log.actor_ref(actor))
    change.record("ticket.merged", {"into": target.id, "number": target.ticket["number"]}, internal=True)
    change.values["merged_into"] = target.id
    change.add(ClocksEnded(source.now, EndedReason.merged))
    change.close_unresolved()
    return save(tx, change)


async def unmerge(tx: Transaction, actor: Actor, source_id: UUID) -> TicketRow:
    """The source is what it was, and its clocks run on from their own starts; the target keeps what was done on it
    since. The source as it is then."""
    if actor.is_customer:
        raise Forbidden("agents undo merges")
    target_id = (await get_ticket(tx, actor, source_id))["merged_into"]
    if target_id is None:
        raise CannotUnmerge("it was merged into nothing")
    both = {id_: await lock_ticket(tx, actor, id_, every_clock=True) for id_ in sorted((source_id, target_id))}
    source, target = both[source_id], both[target_id]
    done = await tx.row(_LAST, source_id=source_id)
    if done is None:
        raise CannotUnmerge("it was merged before merges could be undone")
    if source.ticket["merged_into"] != target_id or done["target_id"] != target_id:
        raise CannotUnmerge("somebody merges or undoes this just now: read it again")
    if target.ticket["merged_into"]:
        raise CannotUnmerge("the ticket that it went into was merged on: undo that first")
    await _release(tx, actor, source, target, done)
    gone = [source_id, *source.ticket["merged_from"]]
    for drop in (_DROP_FOLLOWERS, participants.DROP):
        tx.write(drop, target_id=target_id, source_ids=gone)
    tx.write(_UNDO, key_id=done["id"], undone_at=source.now)
    return await _come_back(tx, actor, source, target, done)


async def _release(tx: Transaction, actor: Actor, source: LoadedTicket, target: LoadedTicket, done: Row) -> None:
    change, untouched = TicketChange(target, log.actor_ref(actor)), target.ticket["version"] == done["target_version"]
    # Where nothing has happened to it since, it goes back to where it stood.
    wanted = Status(done["target_status"]) if untouched else change.status
    gone = {source.id, *source.ticket["merged_from"]}
    change.values["merged_from"] = [id_ for id_ in target.ticket["merged_from"] if id_ not in gone]
    if untouched:
        change.values["needs_human"] = done["target_needed_human"]
    if set(target.ticket["tags"]) & set(done["added_tags"]):
        change.update({"tags": [tag for tag in target.ticket["tags"] if tag not in done["added_tags"]]})
        await rematch(tx, change, "unmerged")
    moved, since = await _wait_left(tx, target, done)
    data = {"from": source.id, "number": source.ticket["number"], "moved": moved, "waiting_since": since}
    change.record("ticket.released", data, internal=True)
    if moved:
        change.add(WaitMoved(target.now, since))
    if wanted in DONE:
        change.resolve_again(wanted)
    else:
        change.set_status(wanted)
    save(tx, change)


async def _come_back(tx: Transaction, actor: Actor, source: LoadedTicket, target: LoadedTicket, done: Row) -> TicketRow:
    change = TicketChange(source, log.actor_ref(actor))
    data = {"from": target.id, "number": target.ticket["number"], "merged_at": done["merged_at"]}
    change.record("ticket.unmerged", data, internal=True)
    change.values["merged_into"] = None
    revived = ClocksRevived(source.now, done["merged_at"], EndedReason.merged)
    return await put_back(tx, change, revived, Status(done["source_status"]))


async def put_back(tx: Transaction, change: TicketChange, revived: ClocksRevived, wanted: Status) -> TicketRow:
    """A ticket that was closed and whose clocks had ended is as it was, under the promise of today; its row. All of its
    clocks must be loaded, and the change say why."""
    change.add(revived)
    if wanted not in DONE:
        await rematch_with_exceptions(tx, change, "undone")
    change.return_to(wanted)
    return save(tx, change)


def waiting_since(locked: LoadedTicket) -> datetime | None:
    clock = running_response(locked.state.clocks)
    return clock.started_at if clock else None


async def _wait_left(tx: Transaction, target: LoadedTicket, done: Row) -> tuple[bool, datetime | None]:
    """Whether the customer's wait on the target is another one without this merge, and since when they wait then: since
    they asked there, or on what is still merged into it."""
    running = waiting_since(target)
    if running is None or running != done["source_waiting_since"]:
        return False, running
    rows = await tx.rows(_INTO, target_id=target.id)
    over = _last_answered(target.state.clocks, _moved_away(rows))
    merges = [row for row in rows if over is None or row["merged_at"] > over]
    assert merges, "the wait that runs came with one of them"
    # Before the first of them the wait was the target's own.
    own = merges[0]["target_waiting_since"]
    if own is None:
        asked = await tx.row(_ASKED, target_id=target.id, since=merges[0]["merged_at"])
        own = asked["at"] if asked else None
    others = [row["source_waiting_since"] for row in merges if row["undone_at"] is None and row["id"] != done["id"]]
    since = min((at for at in (own, *others) if at), default=None)
    return since != running, since


def _moved_away(merges: Iterable[Row]) -> set[datetime]:
    """Since when they waited whose clocks on the target were ended by these merges, or by undoing them."""
    own = {
        row["target_waiting_since"]
        for row in merges
        if row["source_waiting_since"] and row["target_waiting_since"]
        and row["source_waiting_since"] < row["target_waiting_since"]
    }  # fmt: skip
    return own | {row["source_waiting_since"] for row in merges if row["undone_at"]}


def _last_answered(clocks: Iterable[Clock], moved_away: set[datetime]) -> datetime | None:
    """When a wait was over last, but for a merge. A clock that an exception excludes ends with the reason `exception`,
    also by a merge."""
    ends = (
        clock.ended_at
        for clock in clocks
        if clock.metric in RESPONSES
        and clock.ended_reason is not EndedReason.merged
        and not (clock.ended_reason is EndedReason.exception and clock.started_at in moved_away)
    )
    return max((at for at in ends if at), default=None)


async def _lock(tx: Transaction, actor: Actor, id: UUID, source_id: UUID) -> LoadedTicket:
    try:
        return await lock_ticket(tx, actor, id)
    except NotFound:
        if id == source_id:
            raise
        raise Invalid.at("/into", "unknown", "there is no ticket with this id") from None
