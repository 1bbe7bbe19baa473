from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.sla.core.enums import Channel, Metric, Priority
from app.sla.core.policy import AppliesTo, Effect, Scope
from app.sla.schemas.calendars import CalendarIn
from app.sla.schemas.policies import SlaPolicyIn
from app.sla.schemas.types import MetricWord, Seconds
from app.web.schemas import FROM_TEXT, Id, In, Instant, Item, Key, Out, Page


class SimulatedCalendar(CalendarIn):
    """In place of the stored calendar with this id, or a new one with an id of your own."""

    id: Id


class SimulatedException(In):
    """Granted besides those that were, at its `starts_at`. The id that belongs to the scope is given, and no other."""

    scope: Annotated[Scope, FROM_TEXT] = Field(default=Scope.everything, description="Whose clocks it reaches.")
    ticket_id: Id | None = None
    customer_id: Id | None = None
    segment_id: Id | None = None
    effect: Annotated[Effect, FROM_TEXT] = Field(description="`extend` and `retarget` need `seconds`.")
    metrics: Annotated[list[MetricWord], Field(max_length=5)] = Field(default=[], description="None named: all.")
    seconds: Seconds | None = None
    applies_to: Annotated[AppliesTo, FROM_TEXT] = Field(
        default=AppliesTo.started, description="Which clocks: those that start in it, or those that run then as well."
    )
    starts_at: Instant
    expires_at: Instant | None = Field(default=None, description="`freeze` needs it.")


class SimulationFilter(In):
    """All that is given must fit the ticket as it is now."""

    priority: Annotated[Priority, FROM_TEXT] | None = None
    channel: Annotated[Channel, FROM_TEXT] | None = None
    team_id: Id | None = None
    segment: Key | None = Field(default=None, description="In which the ticket was opened.")


class SlaSimulationIn(In):
    """The policies are in place of all that are in force; those that stay are sent as they are."""

    policies: Annotated[list[SlaPolicyIn], Field(max_length=200)]
    calendars: Annotated[list[SimulatedCalendar], Field(max_length=20)] = Field(
        default=[], description="By which the policies sent go."
    )
    exceptions: Annotated[list[SimulatedException], Field(max_length=20)] = []
    from_: Instant = Field(alias="from", description="Of clocks that started from then on.")
    to: Instant = Field(description="Of clocks that started before.")
    filter: SimulationFilter = SimulationFilter()


class SlaSimulationState(StrEnum):
    waiting = "waiting"
    running = "running"
    done = "done"


class SimulatedFigures(Out):
    """Of clocks that no exception takes out of judgement."""

    clocks: int = Field(description="Started in the span.")
    met: int = Field(description="Stopped by the deadline.")
    breached: int = Field(description="Past their deadline.")
    attainment: float | None = Field(description="Percent of those that met or broke a target; null: nobody did.")
    answered: int
    mean_seconds: float | None = Field(description="Of the answered, in the clock's own time.")


class SimulatedMetric(Out):
    metric: Metric
    before: SimulatedFigures = Field(description="As the log says it was.")
    after: SimulatedFigures = Field(description="Under what was sent.")


class SimulatedSegment(SimulatedMetric):
    segment: str | None = Field(description="In which the ticket was opened; null: none.")


class SlaSimulationOut(Out):
    """A replay of the past: how far it is, and what it found so far."""

    id: UUID
    state: SlaSimulationState
    created_at: datetime = Field(description="Clocks that ran then are judged as of then.")
    expires_at: datetime = Field(description="When it is deleted.")
    finished_at: datetime | None
    from_: datetime = Field(alias="from", description="As sent.")
    to: datetime = Field(description="As sent.")
    filter: SimulationFilter
    tickets_total: int | None = Field(description="All there were when it began.")
    tickets_seen: int
    tickets_replayed: int = Field(description="Those that fit, and were there in the span.")
    tickets_unknown: int = Field(description="The log does not hold their beginning, or a newer release wrote it.")
    tickets_changed: int = Field(description="Of which a clock has another target, deadline, time or end.")
    metrics: list[Item[SimulatedMetric]]
    segments: list[Item[SimulatedSegment]] = Field(description="By metric and segment.")


class SlaSimulationPage(Page[SlaSimulationOut]): ...


class SimulatedTicket(Out):
    ticket_id: UUID
    metrics: list[Metric] = Field(description="Those whose clocks change.")
    breaches_before: int = Field(description="Of its clocks that started in the span.")
    breaches_after: int = Field(description="The same under what was sent.")


class SimulatedTicketPage(Page[SimulatedTicket]): ...
