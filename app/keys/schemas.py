from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.auth.roles import SCOPES, Role
from app.web.schemas import FROM_TEXT, Id, In, Instant, Name, Out, Page

Scope = Annotated[str, Field(json_schema_extra={"enum": sorted(SCOPES)}, max_length=40)]


class ApiKeyIn(In):
    name: Name
    role: Annotated[Role, FROM_TEXT]
    scopes: Annotated[list[Scope], Field(max_length=len(SCOPES))] | None = None
    agent_id: Id | None = None
    customer_id: Id | None = None
    expires_at: Instant | None = None


class ApiKeyOut(Out):
    id: UUID
    name: str
    role: Role
    scopes: list[str] | None
    agent_id: UUID | None
    customer_id: UUID | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiKeyMade(ApiKeyOut):
    key: str = Field(description="Shown this once.")


class ApiKeyPage(Page[ApiKeyOut]): ...
