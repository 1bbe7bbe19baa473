from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, AfterValidator, Field

from app.web.schemas import Email, ExternalId, Fields, Id, In, Name, Out, Page, pattern

Region = Annotated[
    str,
    pattern(
        r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", "1 to 32 letters of a to z, digits, _ and -, the first a letter or digit"
    ),
]
Language = Annotated[
    str,
    pattern(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", "a language tag (BCP 47), such as fi or en-GB"),
    Field(description="BCP 47, such as fi or en-GB"),
]

Beginnings = Annotated[
    str, Field(min_length=1, max_length=200, description="Beginnings of words of name, e-mail address and external id.")
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


_SHARED = "Whether its members read and answer one another's tickets: those that were opened for this organization."


class OrganizationUpsert(In):
    name: Name
    email: Email | None = None
    region: Region | None = None
    language: Language | None = None
    shared: bool = Field(default=False, description=_SHARED)
    attributes: Fields = {}


class OrganizationIn(OrganizationUpsert):
    external_id: ExternalId | None = None


class OrganizationPatch(In):
    external_id: ExternalId | None | MISSING = MISSING
    name: Name | MISSING = MISSING
    email: Email | None | MISSING = MISSING
    region: Region | None | MISSING = MISSING
    language: Language | None | MISSING = MISSING
    shared: bool | MISSING = Field(default=MISSING, description=_SHARED)
    attributes: Fields | MISSING = MISSING


class OrganizationOut(Out):
    id: UUID
    external_id: str | None
    name: str
    email: str | None
    region: str | None
    language: str | None
    shared: bool = Field(description=_SHARED)
    attributes: Fields
    version: int
    created_at: datetime
    updated_at: datetime


class OrganizationPage(Page[OrganizationOut]): ...


Folded = Annotated[Language, AfterValidator(str.lower)]
