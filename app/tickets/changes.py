"""One change of one ticket: what happens to it is collected, and saved in one way.

A unit of work loads the ticket, tells the change what happened, in its order, and calls `save` once. Only `save` hands
the log, the clock engine and the ticket's row what the change collected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any, cast
from uuid import UUID

from sqlalchemy import bindparam, literal_column, update

from app.custom_fields import values as custom_fields
from app.custom_fields.schemas import Subject
from app.db import NeedsLocks, Query, Transaction
from app.events import log
from app.sla import clocks
from app.sla.core.engine import TicketClocks, advance
from app.sla.core.enums import DONE, AuthorKind, Status
from app.sla.core.timeline import Entry, StatusSet
from app.tickets.attribution import attribution
from app.tickets.quality import QualityChange
from app.tickets.queries import tags_shown
from app.tickets.rows import TicketRow
from app.tickets.schemas import SelfService
from app.tickets.store import MUTABLE, LoadedTicket
from app.tickets.tables import tickets

_by_id = tickets.c.id == bindparam("key_id")
_next_version = update(tickets).where(_by_id).values(version=literal_column("tickets.version + 1"))
_OF_CUSTOMERS = ["hidden_changes", "seen_updated_at"]
_CHANGED = [
    *MUTABLE, "exceptions", "merged_into", "merged_from", "spam_at", "status_before_spam", "needs_human",
    "confirmed_at", "self_service", "snoozed_until", "snooze_reason", "assigned_at", "handling_seconds", *_OF_CUSTOMERS,
]  # fmt: skip
_UPDATE = Query(_next_version, [*_CHANGED, "updated_at"])
# What a message brings about, which is most of what happens to tickets.
_MOVED = [
    "status", "assignee_id", "resolved_at", "closed_at", *clocks.STANDING, "needs_human", "snoozed_until",
    "snooze_reason", "assigned_at", "handling_seconds", *_OF_CUSTOMERS,
]  # fmt: skip
# What customers see nothing of. Of custom fields and tags they see some.
_STAFFS = {
    *clocks.STANDING, "policy_id", "policy_version", "calendar_version", "exceptions", "merged_into", "merged_from",
    "spam_at", "status_before_spam", "snoozed_until", "snooze_reason", "assigned_at", "handling_seconds",
    "custom_fields", "tags", *_OF_CUSTOMERS,
}  # fmt: skip
_MOVE = Query(_next_version, [*_MOVED, "updated_at"])
# What was read without a lock is written only where nobody came between.
_MOVE_AS_READ = Query(
    _next_version.where(tickets.c.version == bindparam("read_version")), [*_MOVED, "updated_at"], expect_one_row=True
)
# What is resolved or closed is snoozed no more.
_AWAKE: dict[str, Any] = {"snoozed_until": None, "snooze_reason": None}


@dataclass(slots=True)
class TicketChange:
    """What happens to a loaded ticket: entries for its clocks, columns of its row, events for the log. `who` is named
    by the events, unless they say otherwise, and by those of clocks that end."""

    loaded: LoadedTicket
    who: log.ActorRef
    entries: list[Entry] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    # It needs what only a locked ticket allows: `save` says so.
    needs_locks: bool = False
    quality: QualityChange = field(default_factory=QualityChange)
    _events: list[dict[str, Any]] = field(default_factory=list)
    _attributes: Mapping[str, Any] | None = None

    @property
    def id(self) -> UUID:
        return self.loaded.id

    @property
    def now(self) -> datetime:
        return self.loaded.now

    @property
    def ticket(self) -> TicketRow:
        """The row with the columns that were set so far."""
        return cast(TicketRow, {**self.loaded.ticket, **self.values})

    @property
    def status(self) -> Status:
        return Status(self.values.get("status", self.loaded.ticket["status"]))

    def clocks(self) -> TicketClocks:
        """The ticket's clocks after all that happened."""
        return reduce(advance, self.entries, self.loaded.state)

    def add(self, entry: Entry) -> None:
        """Clocks that end by an entry keep the attributes that the ticket had before the first one."""
        if not self.entries and self.values:
            self._attributes = self.ticket
        self.entries.append(entry)

    def record(
        self,
        type_: str,
        data: Mapping[str, Any],
        *,
        who: log.ActorRef | None = None,
        subject_id: UUID | None = None,
        internal: bool = False,
    ) -> None:
        """An event on the ticket; it is about the ticket itself unless it names another subject."""
        self._events.append({
            "who": who or self.who, "type_": type_, "subject_id": subject_id or self.id, "now": self.now, "data": data,
            "ticket_id": self.id, "internal": internal,
        })  # fmt: skip

    def update(self, values: Mapping[str, Any], who: log.ActorRef | None = None) -> None:
        """Set attributes, and tell of those that change."""
        if changes := log.changes(self.loaded.ticket, values):
            self.record("ticket.updated", {"changes": changes}, who=who, internal=True)
        self.values |= values
        if log.differ(self.loaded.ticket["assignee_id"], self.ticket["assignee_id"]):
            self.values["assigned_at"] = self.now if self.ticket["assignee_id"] else None

    def handled(self, message_id: UUID, who: log.ActorRef, seconds: float) -> None:
        """Somebody worked on a message for so long."""
        self.quality.handled.append((message_id, who, seconds))
        self.values["handling_seconds"] = self.ticket["handling_seconds"] + seconds

    def set_status(
        self, status: Status, who: log.ActorRef | None = None, extra_data: Mapping[str, Any] | None = None
    ) -> None:
        """Nothing where it is the status already; the log gets `extra_data`."""
        before = self.status
        if self._enter(status, who or self.who, extra_data):
            self.quality.moved(before, status, who or self.who)
            self.values |= self._status_values(before, status)

    def close_unresolved(self) -> None:
        """It is closed and goes on elsewhere or nowhere: that resolves nothing."""
        before = self.status
        if self._enter(Status.closed, self.who, None):
            self.values |= self._status_values(before, Status.closed)

    def resolve_again(self, status: Status) -> None:
        """It is resolved as it was before it was reopened, which is undone."""
        before = self.status
        if self._enter(status, self.who, None):
            self.quality.reopening_undone = True
            self.values |= self._status_values(before, status)

    def return_to(self, status: Status) -> None:
        """Undo a closing: it keeps since when it was resolved."""
        if self._enter(status, self.who, None):
            self.values |= {"status": status, "closed_at": None}

    def _enter(self, status: Status, who: log.ActorRef, extra_data: Mapping[str, Any] | None) -> bool:
        before = self.status
        if status is before:
            return False
        self.add(StatusSet(self.now, status, AuthorKind(who.kind), who.id))
        data = {"changes": {"status": {"before": before, "after": status}}, **(extra_data or {})}
        self.record("ticket.status_changed", data, who=who)
        return True

    def _status_values(self, before: Status, after: Status) -> dict[str, Any]:
        values: dict[str, Any] = {"status": after}
        if after in DONE:
            values |= _AWAKE
        if after is Status.resolved:
            values["resolved_at"] = self.now
        elif after is Status.closed:
            values["closed_at"] = self.now
        elif before is Status.resolved:
            values["resolved_at"] = None
            if self.loaded.ticket["self_service"] == SelfService.deflected:
                values["self_service"] = SelfService.offered
        return values

    def wake(self, *, because: str) -> None:
        """It is back in the queue; nothing where it is not snoozed."""
        if self.loaded.ticket["snoozed_until"] is not None:
            self.record("ticket.woken", {"because": because}, internal=True)
            self.values |= _AWAKE


def save(tx: Transaction, change: TicketChange, *, touch: bool = True) -> TicketRow:
    """Queue the events, what the entries do to the clocks, and the row, which it returns as it will be. Without
    `touch` a change of no column leaves the row and its version alone. Raises NeedsLocks where the ticket was read
    without locks and more changes than a message brings about: the unit is run again with them."""
    loaded, after = change.loaded, change.clocks()
    if loaded.optimistic and _needs_locks(change, after):
        raise NeedsLocks
    for event in change._events:
        log.record(tx, **event)
    if change.entries:
        then = change._attributes or loaded.ticket
        kept = attribution(then, loaded.region, after.policy.id if after.policy else None)
        change.quality.write(tx, loaded.ticket, change.ticket, loaded.now, kept)
        clocks.write(
            tx, change.who, loaded.id, loaded.clock_ids, loaded.state.clocks, after.clocks, loaded.now, kept,
            optimistic=loaded.optimistic,
        )  # fmt: skip
    return _write_row(tx, change, after) if touch or change.values else change.loaded.ticket


def _needs_locks(change: TicketChange, after: TicketClocks) -> bool:
    return (
        change.needs_locks
        or not change.values.keys() <= set(_MOVED)
        or clocks.any_other_terms(change.loaded.state.clocks, after.clocks)
    )


def _write_row(tx: Transaction, change: TicketChange, state: TicketClocks) -> TicketRow:
    loaded, before = change.loaded, change.loaded.ticket
    version = before["version"] + 1
    after: dict[str, Any] = {**change.ticket, "updated_at": loaded.now, "version": version}
    after |= clocks.standing(state.clocks)
    if _seen_by_customers(tx, before, after):
        after["seen_updated_at"] = None
    else:
        after["hidden_changes"] = before["hidden_changes"] + 1
        after["seen_updated_at"] = before["seen_updated_at"] or before["updated_at"]
    log.stamp_version(tx, loaded.id, version)
    query, names = (_MOVE, _MOVED) if change.values.keys() <= set(_MOVED) else (_UPDATE, _CHANGED)
    written = {"key_id": loaded.id, "updated_at": loaded.now, **{name: after[name] for name in names}}
    if loaded.optimistic:
        tx.write(_MOVE_AS_READ, **written, read_version=before["version"])
    else:
        tx.write(query, **written)
    return cast(TicketRow, after)


def _seen_by_customers(tx: Transaction, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether its customer can tell: by a column, or because they are told of it."""
    return (
        any(before[name] != after[name] for name in _CHANGED if name not in _STAFFS)
        or (tags_shown(tx) and before["tags"] != after["tags"])
        or custom_fields.seen_to_change(tx, Subject.ticket, before["custom_fields"], after["custom_fields"])
        or log.tells_customers(tx, before["id"])
    )
