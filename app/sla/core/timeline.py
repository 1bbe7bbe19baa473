"""What happened to a ticket, as values: the only input the clocks have. The words of the field live here because the
engine decides by them and everything above it may import them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.sla.core.policy import Policy, Priority


class Status(StrEnum):
    new = "new"
    open = "open"
    pending = "pending"
    on_hold = "on_hold"
    resolved = "resolved"
    closed = "closed"


DONE = frozenset({Status.resolved, Status.closed})


class AuthorKind(StrEnum):
    customer = "customer"
    agent = "agent"
    bot = "bot"
    system = "system"


@dataclass(frozen=True, slots=True)
class Covered:
    """From now on this policy version says what the ticket's clocks have to reach; None says that none does."""

    at: datetime
    policy: Policy | None
    priority: Priority


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


Entry = Covered | Opened | Said | StatusSet
