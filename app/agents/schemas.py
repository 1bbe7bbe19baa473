from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.web.schemas import Email, ExternalId, Id, In, Key, Name, Out, Page

TeamIds = Annotated[list[Id], Field(max_length=50)]


class AgentIn(In):
    name: Name
    email: Email | None = None
    external_id: ExternalId | None = None
    team_ids: TeamIds = []
    active: bool = True


class AgentPatch(In):
    name: Name | MISSING = MISSING
    email: Email | None | MISSING = MISSING
    external_id: ExternalId | None | MISSING = MISSING
    team_ids: TeamIds | MISSING = MISSING
    active: bool | MISSING = MISSING


class AgentOut(Out):
    id: UUID
    external_id: str | None
    name: str
    email: str | None
    team_ids: list[UUID]
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class AgentPage(Page[AgentOut]): ...


class TeamIn(In):
    key: Key
    name: Name


class TeamPatch(In):
    key: Key | MISSING = MISSING
    name: Name | MISSING = MISSING


class TeamOut(Out):
    id: UUID
    key: str
    name: str
    version: int
    created_at: datetime
    updated_at: datetime


class TeamPage(Page[TeamOut]): ...
