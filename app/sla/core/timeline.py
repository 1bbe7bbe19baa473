"""What happened to a ticket, as values: the only input the clocks have."""

from dataclasses import dataclass
from datetime import datetime

from app.sla.core.policy import Policy, SlaException
from app.sla.core.words import AuthorKind, Priority, Status


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


@dataclass(frozen=True, slots=True)
class StatusSet:
    at: datetime
    status: Status
    by: AuthorKind


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


@dataclass(frozen=True, slots=True)
class HandedOff:
    """The customer, or a bot on their behalf, asked for a person."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Merged:
    """The ticket went into another one."""

    at: datetime


Entry = Covered | Excepted | Opened | Said | StatusSet | Promised | PromiseOver | HandedOff | Merged
