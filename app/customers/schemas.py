from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.web.schemas import Email, ExternalId, Fields, Id, In, Name, Out, Page

Region = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Language = Annotated[
    str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", description="BCP 47, such as fi or en-GB")
]


class CustomerUpsert(In):
    name: Name | None = None
    email: Email | None = None
    region: Region | None = None
    language: Language | None = None
    organization_id: Id | None = None
    attributes: Fields = {}


class CustomerIn(CustomerUpsert):
    external_id: ExternalId | None = None


class CustomerPatch(In):
    external_id: ExternalId | None | MISSING = MISSING
    name: Name | None | MISSING = MISSING
    email: Email | None | MISSING = MISSING
    region: Region | None | MISSING = MISSING
    language: Language | None | MISSING = MISSING
    organization_id: Id | None | MISSING = MISSING
    attributes: Fields | MISSING = MISSING


class CustomerOut(Out):
    id: UUID
    external_id: str | None
    name: str | None
    email: str | None
    region: str | None
    language: str | None
    organization_id: UUID | None
    attributes: Fields
    merged_into: UUID | None = Field(description="The customer who has their tickets now.")
    erased_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class CustomerPage(Page[CustomerOut]): ...


class OrganizationUpsert(In):
    name: Name
    email: Email | None = None
    region: Region | None = None
    language: Language | None = None
    attributes: Fields = {}


class OrganizationIn(OrganizationUpsert):
    external_id: ExternalId | None = None


class OrganizationPatch(In):
    external_id: ExternalId | None | MISSING = MISSING
    name: Name | MISSING = MISSING
    email: Email | None | MISSING = MISSING
    region: Region | None | MISSING = MISSING
    language: Language | None | MISSING = MISSING
    attributes: Fields | MISSING = MISSING


class OrganizationOut(Out):
    id: UUID
    external_id: str | None
    name: str
    email: str | None
    region: str | None
    language: str | None
    attributes: Fields
    version: int
    created_at: datetime
    updated_at: datetime


class OrganizationPage(Page[OrganizationOut]): ...
