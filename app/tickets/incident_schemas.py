from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.web.schemas import In, Out, Prose


class IncidentJobState(StrEnum):
    waiting = "waiting"
    running = "running"
    done = "done"
    counted = "counted"


class SolveProblemIn(In):
    body: Prose = Field(description="The public message that each incident is answered with.")


class IncidentJobOut(Out):
    """Incidents answered and resolved, how far it is. `counted` is a preview: there is no job."""

    id: UUID | None
    problem_id: UUID
    state: IncidentJobState
    incidents_total: int | None = Field(description="Open incidents that the problem caused, when it began.")
    answered: int
    refused: int = Field(description="Those that somebody closed or merged meanwhile.")
    ticket_ids: list[UUID] | None = Field(description="Of a preview: the incidents, the first 200 of them.")
    created_at: datetime
    finished_at: datetime | None
