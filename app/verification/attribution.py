"""What a ticket was when each of its clocks ended, recomputed from the log: from what it is now, change by change back
to the event that ended the clock. So a log whose beginning was dropped is enough."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select

from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.events.tables import events
from app.sla.clocks import ATTRIBUTED, Attribution, Key, key
from app.sla.core.clock import Clock
from app.sla.core.policy import Policy
from app.tickets.attribution import OF_TICKETS

# A request reads the customer's region some time before it commits, and so does whoever changes it: between these
# instants either of two regions may have been seen.
_IN_FLIGHT = timedelta(seconds=30)
_customers = any_(bindparam("customer_ids", type_=ARRAY(Uuid)))
_CUSTOMERS = Query(
    select(customers.c.id, customers.c.region, customers.c.erased_at).where(customers.c.id == _customers)
)
_CHANGES = Query(
    select(events.c.subject_id, events.c.occurred_at, events.c.data)
    .where(
        events.c.subject_id == _customers,
        events.c.ticket_id.is_(None),
        events.c.type == "customer.updated",
        events.c.data["changes"].has_key("region"),
    )
    .order_by(events.c.id)
)
_IDS = frozenset(name for name in OF_TICKETS if name.endswith("_id"))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a clock keeps, its region aside: that is the customer's, as of when it ended (`at`). One that runs keeps
    nothing."""

    attribution: Attribution
    at: datetime | None = None


_RUNNING = Kept({name: None for name in ATTRIBUTED if name != "region"})


class Past:
    """One ticket: its row, what changed it, and where in the log its clocks ended."""

    def __init__(self, ticket: Row) -> None:
        self.ticket = ticket
        self.ends: dict[Key, tuple[int, UUID | None, datetime]] = {}
        self._changes: list[tuple[int, Mapping[str, Any]]] = []
        self._events = 0
        self._imported_at: datetime | None = None

    def add(self, event: Row) -> None:
        """The next event, before what it means to the clocks."""
        self._events += 1
        if event["type"] == "ticket.updated":
            self._changes.append((self._events, event["data"]["changes"]))
        elif event["type"] == "ticket.created" and self.ticket["imported"]:
            self._imported_at = event["recorded_at"]

    def end(self, clocks: Iterable[Clock], policy: Policy | None, at: datetime) -> None:
        for clock in clocks:
            at = max(at, self._imported_at or at)
            self.ends[key(clock)] = self._events, policy.id if policy else None, at

    def forget(self, clocks: Iterable[Clock]) -> None:
        """Those that run on after they had ended."""
        for clock in clocks:
            self.ends.pop(key(clock), None)

    def kept(self, key: Key) -> Kept:
        if key not in self.ends:
            return _RUNNING
        end, policy_id, at = self.ends[key]
        was: Attribution = {name: self.ticket[name] for name in OF_TICKETS}
        for number, changes in reversed(self._changes):
            if number > end:
                was |= {name: _value(name, change["before"]) for name, change in changes.items() if name in was}
        return Kept({**was, "ticket_policy_id": policy_id}, at)


def _value(name: str, stored: Any) -> Any:
    return UUID(stored) if name in _IDS and stored else stored


class Regions:
    """Which regions customers were in, and when."""

    def __init__(self, rows: Iterable[Row], changes: Iterable[Row]) -> None:
        self._now = {row["id"]: row["region"] for row in rows if row["erased_at"] is None}
        self._changes: dict[UUID, list[tuple[datetime, str | None]]] = {}
        for row in changes:
            before = row["data"]["changes"]["region"]["before"]
            self._changes.setdefault(row["subject_id"], []).append((row["occurred_at"], before))

    def at(self, kept: Kept) -> str | None:
        assert kept.at is not None
        customer_id = kept.attribution["customer_id"]
        later = (before for at, before in self._changes.get(customer_id, ()) if at > kept.at)
        region: str | None = next(later, self._now.get(customer_id))
        return region

    def possible(self, kept: Kept) -> set[str | None] | None:
        """None where nobody can say any more: of who was erased or removed."""
        customer_id = kept.attribution["customer_id"]
        if kept.at is None or customer_id not in self._now:
            return None
        close = (at for at, _ in self._changes.get(customer_id, ()) if abs(at - kept.at) < _IN_FLIGHT)
        instants = [kept.at, *(each for at in close for each in (at, at - timedelta(microseconds=1)))]
        return {self.at(Kept(kept.attribution, at)) for at in instants}


async def read_regions(tx: Transaction, pasts: Iterable[Past]) -> Regions:
    """Of the customers that the tickets' clocks ended with."""
    ids = list({past.kept(key).attribution["customer_id"] for past in pasts for key in past.ends})
    return Regions(await tx.rows(_CUSTOMERS, customer_ids=ids), await tx.rows(_CHANGES, customer_ids=ids))
