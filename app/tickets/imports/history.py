"""A ticket's past, walked through once: what its row looks like at the end, what the log says of the way there, and the
entries that the clock engine replays. Pure: no clock time but what is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.errors import FieldError, Invalid
from app.sla.core.clock import Clock
from app.sla.core.engine import TicketClocks, advance
from app.sla.core.policy import Policy
from app.sla.core.timeline import Covered, Entry, Opened, Said, StatusSet
from app.sla.core.words import DONE, AuthorKind, Priority, Status
from app.tickets.facts import cover_columns, cover_data, covering
from app.tickets.imports.schemas import (
    ImportedAssignee,
    ImportedMessage,
    ImportedPriority,
    ImportedStatus,
    ImportedTags,
    ImportedTicket,
)
from app.tickets.lifecycle import Visibility


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the log to be: `who` is an author kind, `message` the message it is about."""

    at: datetime
    type: str
    who: AuthorKind
    data: Mapping[str, Any]
    message: ImportedMessage | None = None
    internal: bool = False


@dataclass(slots=True)
class History:
    ticket: dict[str, Any]
    priority: Priority
    entries: list[Entry] = field(default_factory=list)
    events: list[Happened] = field(default_factory=list)


def check(item: ImportedTicket, now: datetime) -> None:
    """Raises Invalid where the timeline runs backwards or into the future."""
    latest = item.created_at
    if latest > now:
        raise _refused("/created_at", "future", "a ticket that is imported was created in the past")
    for index, entry in enumerate(item.timeline):
        where = f"/timeline/{index}/at"
        if entry.at < latest:
            raise _refused(where, "backwards", "each entry is no earlier than the one before it")
        if entry.at > now:
            raise _refused(where, "future", "what is imported happened in the past")
        latest = entry.at


def walk(
    item: ImportedTicket, id: UUID, customer_id: UUID, agent_ids: Mapping[str, UUID], policies: Sequence[Policy]
) -> History:
    """The ticket's history under the policies in force, as if it had happened live."""
    ticket: dict[str, Any] = {
        "id": id,
        "external_id": item.external_id,
        "subject": item.subject,
        "status": item.status,
        "priority": item.priority,
        "type": item.type,
        "channel": item.channel,
        "customer_id": customer_id,
        "organization_id": None,
        "opened_by": item.opened_by,
        "assignee_id": None,
        "team_id": None,
        "product": item.product,
        "tags": item.tags,
        "custom_fields": {name: value for name, value in item.custom_fields.items() if value is not None},
        "created_at": item.created_at,
        "updated_at": item.timeline[-1].at if item.timeline else item.created_at,
        "resolved_at": item.created_at if item.status is Status.resolved else None,
        "closed_at": item.created_at if item.status is Status.closed else None,
    }
    opened_by = AuthorKind(item.opened_by)
    cover = _cover(ticket, policies, item.created_at)
    ticket |= cover_columns(cover)
    history = History(ticket, item.priority, [cover, Opened(item.created_at, opened_by, item.status)])
    data = {"opened_by": opened_by, "status": item.status, **cover_data(cover)}
    history.events.append(Happened(item.created_at, "ticket.created", opened_by, data))
    for entry in item.timeline:
        history.events.extend(_step(history, entry, agent_ids, policies))
    return history


def lived(entries: Sequence[Entry]) -> tuple[tuple[Clock, ...], list[Clock]]:
    """The clocks at the end; and those that got another target after their deadline, as they were: live, the breach was
    told before."""
    state, broken = TicketClocks(), list[Clock]()
    for entry in entries:
        after = advance(state, entry)
        broken += [
            was
            for was, then in zip(state.clocks, after.clocks, strict=False)
            if was is not then and was.target_seconds != then.target_seconds and was.breached(entry.at)
        ]
        state = after
    return state.clocks, broken


def _step(
    history: History, entry: Any, agent_ids: Mapping[str, UUID], policies: Sequence[Policy]
) -> Iterator[Happened]:
    match entry:
        case ImportedMessage():
            internal = entry.visibility is Visibility.internal
            history.entries.append(Said(entry.at, entry.author, not internal))
            data = {"visibility": entry.visibility, "opening": False}
            yield Happened(entry.at, "message.created", entry.author, data, entry, internal)
        case ImportedStatus():
            yield from _status(history, entry, policies)
        case ImportedPriority():
            yield from _attribute(history, "priority", entry.priority, entry.at, policies)
        case ImportedTags():
            yield from _attribute(history, "tags", entry.tags, entry.at, policies)
        case ImportedAssignee():
            assignee = agent_ids[entry.assignee.external_id] if entry.assignee else None
            yield from _changed(history, "assignee_id", assignee, entry.at)


def _status(history: History, entry: ImportedStatus, policies: Sequence[Policy]) -> Iterator[Happened]:
    before, after = history.ticket["status"], entry.status
    if after is before:
        return  # as live: what changes nothing has not happened
    reopened = before in DONE and after not in DONE
    if reopened:
        # As live: a clock that starts anew takes the policy in force.
        yield from _recovered(history, entry.at, policies, "reopened")
    history.entries.append(StatusSet(entry.at, after, entry.by))
    if after is Status.resolved:
        history.ticket |= {"resolved_at": entry.at, "closed_at": None}
    elif after is Status.closed:
        history.ticket["closed_at"] = entry.at
    elif reopened:
        history.ticket["resolved_at"] = history.ticket["closed_at"] = None
    history.ticket["status"] = after
    data = {"changes": {"status": {"before": before, "after": after}}}
    yield Happened(entry.at, "ticket.status_changed", entry.by, data)


def _attribute(
    history: History, name: str, value: object, at: datetime, policies: Sequence[Policy]
) -> Iterator[Happened]:
    yield from _changed(history, name, value, at)
    yield from _recovered(history, at, policies, f"{name} changed")


def _changed(history: History, name: str, value: object, at: datetime) -> Iterator[Happened]:
    if history.ticket[name] == value:
        return
    data = {"changes": {name: {"before": history.ticket[name], "after": value}}}
    history.ticket[name] = value
    yield Happened(at, "ticket.updated", AuthorKind.agent, data, internal=True)


def _recovered(history: History, at: datetime, policies: Sequence[Policy], because: str) -> Iterator[Happened]:
    cover = _cover(history.ticket, policies, at)
    columns = cover_columns(cover)
    if cover.priority is history.priority and all(history.ticket[name] == columns[name] for name in columns):
        return
    history.priority = cover.priority
    history.ticket |= columns
    history.entries.append(cover)
    data = {**cover_data(cover), "because": because}
    yield Happened(at, "sla.policy_applied", AuthorKind.system, data, internal=True)


def _cover(ticket: Mapping[str, Any], policies: Sequence[Policy], at: datetime) -> Covered:
    return Covered(at, covering(policies, ticket), Priority(ticket["priority"]))


def _refused(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(f"{pointer}: {detail}", errors=(FieldError(pointer, code, detail),))
