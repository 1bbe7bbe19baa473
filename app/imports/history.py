"""A ticket's past, walked through once: what its row looks like at the end, what the log says of the way there, and the
entries that the clock engine replays. Pure: no clock time but what is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.errors import FieldError, Invalid
from app.imports.schemas import (
    ImportedAssignee,
    ImportedMessage,
    ImportedPriority,
    ImportedStatus,
    ImportedTags,
    ImportedTicket,
)
from app.sla.clocks import Attribution, Key, key
from app.sla.core.clock import Clock
from app.sla.core.engine import TicketClocks, advance, newly_ended
from app.sla.core.enums import DONE, AuthorKind, Priority, Status
from app.sla.core.policy import Policy, SlaException
from app.sla.core.timeline import Covered, Entry, Excepted, Opened, Said, StatusSet
from app.sla.coverage import coverage_columns, coverage_data, exceptions_data, match_policy
from app.sla.customer_context import CustomerContext
from app.tickets import quality
from app.tickets.attribution import attribution
from app.tickets.lifecycle import Visibility
from app.tickets.quality import SolvedBy


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the log to be: `who` is an author kind, `message` the message it is about."""

    at: datetime
    type: str
    who: AuthorKind
    data: Mapping[str, Any]
    message: ImportedMessage | None = None
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Under:
    """What a ticket of the past stands under: the policies and exceptions of today, for whose it is."""

    policies: Sequence[Policy]
    broad: Sequence[SlaException]
    context: CustomerContext

    def applicable_exceptions(self, opened_at: datetime, at: datetime) -> tuple[SlaException, ...]:
        """Those that had begun by then, and were not over when the ticket was opened."""
        reaching = self.context.applicable_exceptions(self.broad)
        return tuple(each for each in reaching if each.begun(at) and not each.over(opened_at))

    def beginnings(self, opened_at: datetime) -> list[datetime]:
        """When others began since."""
        return sorted(
            {each.starts_at for each in self.context.applicable_exceptions(self.broad) if not each.begun(opened_at)}
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a ticket refers to: agents by external id, its team, its customer's organization."""

    agent_ids: Mapping[str, UUID]
    team_id: UUID | None = None
    organization_id: UUID | None = None


@dataclass(slots=True)
class History:
    ticket: dict[str, Any]
    priority: Priority
    under: "Under"
    exceptions: tuple[SlaException, ...] = ()
    # With what the ticket was then.
    entries: list[tuple[Entry, Attribution]] = field(default_factory=list)
    events: list[Happened] = field(default_factory=list)
    resolutions: list[dict[str, Any]] = field(default_factory=list)

    def moved(self, before: Status | None, after: Status, at: datetime, by: AuthorKind) -> None:
        """As live: what was done is opened again, or what was not is done."""
        if before in DONE and after not in DONE:
            self.resolutions[-1]["reopened_at"] = at
        elif before not in DONE and after in DONE:
            kept = attribution(self.ticket, self.under.context.region, self.ticket["policy_id"])
            self.resolutions.append({
                "resolved_at": at, "resolved_by_kind": by, "resolved_by_id": None, "reopened_at": None,
                "solved_by": self._solved_by(by), **quality.about(self.ticket, kept),
            })  # fmt: skip

    def _solved_by(self, by: AuthorKind) -> SolvedBy:
        said = {entry.author for entry, _ in self.entries if isinstance(entry, Said) and entry.public}
        if AuthorKind.agent in {by, *said}:
            return SolvedBy.person
        return SolvedBy.bot if AuthorKind.bot in said else SolvedBy.nobody

    def add(self, *entries: Entry) -> None:
        kept = attribution(self.ticket, self.under.context.region, self.ticket["policy_id"])
        self.entries += [(entry, kept) for entry in entries]


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


def walk(item: ImportedTicket, id: UUID, parts: Parts, under: Under, now: datetime) -> History:
    """The ticket's history under what is in force, as if it had happened live."""
    ticket: dict[str, Any] = {
        "id": id,
        "external_id": item.external_id,
        "old_number": item.old_number,
        "subject": item.subject,
        "status": item.status,
        "priority": item.priority,
        "type": item.type,
        "channel": item.channel,
        "customer_id": under.context.customer_id,
        "organization_id": parts.organization_id,
        "opened_by": item.opened_by,
        "assignee_id": None,
        "team_id": parts.team_id,
        "product": item.product,
        "segment": under.context.first_segment,
        "tags": item.tags,
        "custom_fields": {name: value for name, value in item.custom_fields.items() if value is not None},
        "created_at": item.created_at,
        "updated_at": item.timeline[-1].at if item.timeline else item.created_at,
        "resolved_at": item.created_at if item.status is Status.resolved else None,
        "closed_at": item.created_at if item.status is Status.closed else None,
    }
    opened_by = AuthorKind(item.opened_by)
    cover = _cover(ticket, under, item.created_at)
    granted = under.applicable_exceptions(item.created_at, item.created_at)
    ticket |= {**coverage_columns(cover), "exceptions": exceptions_data(granted) or None}
    excepted = [Excepted(item.created_at, granted)] if granted else []
    history = History(ticket, item.priority, under, granted)
    history.add(*excepted, cover, Opened(item.created_at, opened_by, item.status))
    history.moved(None, item.status, item.created_at, opened_by)
    if granted:
        history.events.append(_applied(item.created_at, ticket["exceptions"], "opened"))
    data = {"opened_by": opened_by, "status": item.status, **coverage_data(cover)}
    history.events.append(Happened(item.created_at, "ticket.created", opened_by, data))
    begin = under.beginnings(item.created_at)
    for entry in item.timeline:
        history.events.extend(_begun(history, begin, entry.at))
        history.events.extend(_step(history, entry, parts.agent_ids))
    history.events.extend(_begun(history, begin, now))
    return history


def lived(
    entries: Sequence[tuple[Entry, Attribution]],
) -> tuple[tuple[Clock, ...], dict[Key, Attribution], list[tuple[Clock, datetime]]]:
    """The clocks at the end, what those that ended keep, and those that got other terms on the way, as they were until
    when: live, what had passed by then was told."""
    state, kept, former = TicketClocks(), dict[Key, Attribution](), list[tuple[Clock, datetime]]()
    for entry, attributes in entries:
        after = advance(state, entry)
        former += [
            (was, entry.at)
            for was, then in zip(state.clocks, after.clocks, strict=False)
            if was is not then and (was.terms, was.relief) != (then.terms, then.relief)
        ]
        kept |= {key(clock): attributes for clock in newly_ended(state, after)}
        state = after
    return state.clocks, kept, former


def _begun(history: History, begin: list[datetime], until: datetime) -> Iterator[Happened]:
    """Exceptions that began on the way."""
    while begin and begin[0] <= until:
        at = begin.pop(0)
        history.exceptions = history.under.applicable_exceptions(history.ticket["created_at"], at)
        history.add(Excepted(at, history.exceptions))
        applied = history.ticket["exceptions"] = exceptions_data(history.exceptions)
        history.ticket["updated_at"] = max(at, history.ticket["updated_at"])
        yield _applied(at, applied, "exception started")


def _applied(at: datetime, applied: list[dict[str, Any]], because: str) -> Happened:
    data = {"applied": applied, "because": because}
    return Happened(at, "sla.exceptions_applied", AuthorKind.system, data, internal=True)


def _step(history: History, entry: Any, agent_ids: Mapping[str, UUID]) -> Iterator[Happened]:
    match entry:
        case ImportedMessage():
            internal = entry.visibility is Visibility.internal
            agent_id = agent_ids[entry.agent.external_id] if entry.agent else None
            history.add(Said(entry.at, entry.author, not internal, agent_id))
            data = {"visibility": entry.visibility, "opening": False}
            yield Happened(entry.at, "message.created", entry.author, data, entry, internal)
        case ImportedStatus():
            yield from _status(history, entry)
        case ImportedPriority():
            yield from _attribute(history, "priority", entry.priority, entry.at)
        case ImportedTags():
            yield from _attribute(history, "tags", entry.tags, entry.at)
        case ImportedAssignee():
            assignee = agent_ids[entry.assignee.external_id] if entry.assignee else None
            yield from _changed(history, "assignee_id", assignee, entry.at)


def _status(history: History, entry: ImportedStatus) -> Iterator[Happened]:
    before, after = history.ticket["status"], entry.status
    if after is before:
        return  # as live: what changes nothing has not happened
    reopened = before in DONE and after not in DONE
    if reopened:
        # As live: a clock that starts anew takes the policy in force.
        yield from _recovered(history, entry.at, "reopened")
    history.moved(before, after, entry.at, entry.by)
    history.add(StatusSet(entry.at, after, entry.by))
    if after is Status.resolved:
        history.ticket |= {"resolved_at": entry.at, "closed_at": None}
    elif after is Status.closed:
        history.ticket["closed_at"] = entry.at
    elif reopened:
        history.ticket["resolved_at"] = history.ticket["closed_at"] = None
    history.ticket["status"] = after
    data = {"changes": {"status": {"before": before, "after": after}}}
    yield Happened(entry.at, "ticket.status_changed", entry.by, data)


def _attribute(history: History, name: str, value: object, at: datetime) -> Iterator[Happened]:
    yield from _changed(history, name, value, at)
    yield from _recovered(history, at, f"{name} changed")


def _changed(history: History, name: str, value: object, at: datetime) -> Iterator[Happened]:
    if history.ticket[name] == value:
        return
    data = {"changes": {name: {"before": history.ticket[name], "after": value}}}
    history.ticket[name] = value
    yield Happened(at, "ticket.updated", AuthorKind.agent, data, internal=True)


def _recovered(history: History, at: datetime, because: str) -> Iterator[Happened]:
    cover = _cover(history.ticket, history.under, at)
    columns = coverage_columns(cover)
    if cover.priority is history.priority and all(history.ticket[name] == columns[name] for name in columns):
        return
    history.priority = cover.priority
    history.ticket |= columns
    history.add(cover)
    data = {**coverage_data(cover), "because": because}
    yield Happened(at, "sla.policy_applied", AuthorKind.system, data, internal=True)


def _cover(ticket: Mapping[str, Any], under: Under, at: datetime) -> Covered:
    return Covered(at, match_policy(under.policies, ticket, under.context.facts), Priority(ticket["priority"]))


def _refused(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(f"{pointer}: {detail}", errors=(FieldError(pointer, code, detail),))
