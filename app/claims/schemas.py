from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.sla.core.next_answer import Why
from app.sla.schemas.clocks import DeadlinesExplanation
from app.sla.schemas.types import ChannelWord
from app.tickets.schemas import TicketOut
from app.web.schemas import Id, In, Out


class ClaimIn(In):
    agent_id: Id | None = Field(default=None, description="For whom; left out by agents, who claim for themselves.")
    team_id: Id | None = Field(default=None, description="Of this team alone.")
    channels: Annotated[list[ChannelWord], Field(min_length=1, max_length=20)] | None = Field(
        default=None, description="Of these channels alone."
    )
    count: Annotated[int, Field(ge=1, le=10)] = Field(default=1, description="So many at most.")


class ClaimOut(Out):
    """A ticket that an agent was given to answer."""

    ticket_id: UUID
    agent_id: UUID
    claimed_at: datetime
    answer_by: datetime = Field(description="Taken back then, where it is not answered.")
    why: Why
    reason: str = Field(examples=["Its deadline is in 41 s and can still be met; its customer has waited 49 s."])


class ClaimedTicketOut(ClaimOut):
    ticket: TicketOut


class ClaimList(Out):
    items: list[ClaimedTicketOut]
    because: str | None = Field(description="Where they are fewer than were asked for: why there are no more.")


class QueuedOut(Out):
    """How a ticket that is nobody's stands among those who wait for an answer."""

    waiting_since: datetime
    due_at: datetime | None = Field(description="The earliest deadline of its running clocks.")
    goal_crosses_at: datetime | None = Field(description="When a near goal that counts it is missed.")
    oldest_first: bool = Field(
        description="The oldest come first now, so that nobody waits much longer than if they always did."
    )
    why: Why = Field(description="Why it would be given to whoever claims, once those before it are.")
    reason: str


class TicketExplanation(DeadlinesExplanation):
    """Which policy and why, how each deadline came about, and where the ticket stands among those that wait."""

    queued: QueuedOut | None = Field(description="Null where nobody waits, or it is somebody's.")
    claim: ClaimOut | None = Field(description="By which it is its assignee's, while that is in force.")
