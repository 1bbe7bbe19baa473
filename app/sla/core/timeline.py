"""What happened to a ticket, as values: the only input the clocks have."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.sla.core.clock import EndedReason
from app.sla.core.enums import AuthorKind, Priority, Status
from app.sla.core.policy import Policy, SlaException


@dataclass(frozen=True, slots=True)
class Covered:
    """From now on this policy version says what the ticket's clocks have to reach; None says that none does."""

    at: datetime
    policy: Policy | None
    priority: Priority


@dataclass(frozen=True, slots=True)
class Excepted:
    """From now on these exceptions, and no others, are granted to the ticket."""

    at: datetime
    exceptions: tuple[SlaException, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A ticket opened by or for a customer opens with a customer's public message; one opened by an agent towards a
    customer does not."""

    at: datetime
    by: AuthorKind
    status: Status = Status.new


@dataclass(frozen=True, slots=True)
class Said:
    at: datetime
    author: AuthorKind
    public: bool
    author_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class StatusSet:
    at: datetime
    status: Status
    by: AuthorKind
    by_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Promised:
    """The ticket's next promise was made, to be kept by `due_at`."""

    at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class PromiseOver:
    """Promise number `cycle` was kept, or withdrawn."""

    at: datetime
    cycle: int
    kept: bool
    by_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class HandedOff:
    """The customer, or a bot on their behalf, asked for a person."""

    at: datetime


@dataclass(frozen=True, slots=True)
class ClocksEnded:
    """Every clock that runs ends without its stop: the ticket was merged into another one, or is spam."""

    at: datetime
    reason: EndedReason


@dataclass(frozen=True, slots=True)
class ClocksRevived:
    """What ended at `ended_at` for `reason` is undone: those clocks run on from their own starts."""

    at: datetime
    ended_at: datetime
    reason: EndedReason


@dataclass(frozen=True, slots=True)
class WaitMoved:
    """A merge into this ticket, or its undoing: the customer waits for an answer here since `since`; None says that
    nobody does."""

    at: datetime
    since: datetime | None


Entry = (
    Covered
    | Excepted
    | Opened
    | Said
    | StatusSet
    | Promised
    | PromiseOver
    | HandedOff
    | ClocksEnded
    | ClocksRevived
    | WaitMoved
)
