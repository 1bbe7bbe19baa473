"""Automations and greetings on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, AfterValidator, Field

from app.customers.schemas import Folded, Language
from app.sla.core.enums import AutomationKey, Channel, OfferChoice
from app.sla.schemas.types import ChannelWord
from app.web.schemas import FROM_TEXT, In, Item, Key, Out, Page, Prose

Introductions = Annotated[dict[Folded, Annotated[Prose, Field(max_length=1000)] | None], Field(max_length=100)]


Choices = Annotated[list[Annotated[OfferChoice, FROM_TEXT]], Field(max_length=3)]
ChoicesOfSegments = Annotated[dict[Key, Choices | None], Field(max_length=100)]


_BEFORE = "Of `overload_offer`: how long before a goal's `crosses_at` it begins."
_CHOICES = "Of `overload_offer`: what is offered."
_OF_SEGMENTS = (
    "Of `overload_offer`, by segment: what its customers are offered instead. The first of their segments that is "
    "named counts; an empty list offers nothing."
)


class SettingsPatch(In):
    """Those of the automation; it has no others."""

    after_days: Annotated[int, Field(ge=1, le=3650)] | MISSING = MISSING
    most: Annotated[int, Field(ge=1, le=5)] | MISSING = MISSING
    min_score: Annotated[float, Field(ge=0, le=1)] | MISSING = MISSING
    introductions: Introductions | MISSING = MISSING
    before_seconds: Annotated[int, Field(ge=0, le=86_400)] | MISSING = Field(default=MISSING, description=_BEFORE)
    choices: Choices | MISSING = Field(default=MISSING, description=_CHOICES)
    segment_choices: ChoicesOfSegments | MISSING = Field(default=MISSING, description=_OF_SEGMENTS)


class AutomationPatch(In):
    enabled: bool | MISSING = MISSING
    settings: SettingsPatch | MISSING = MISSING


class AutomationSettings(Out):
    """Null where the automation has no such setting."""

    after_days: int | None = Field(default=None, description="Of `auto_close`: how long a ticket stays resolved.")
    most: int | None = Field(default=None, description="How many articles are sent.")
    min_score: float | None = Field(default=None, description="What scores less is not sent.")
    introductions: dict[str, str] | None = Field(
        default=None, description="Of `self_service_first`, by language: what stands before the articles."
    )
    before_seconds: int | None = Field(default=None, description=_BEFORE)
    choices: list[OfferChoice] | None = Field(default=None, description=_CHOICES)
    segment_choices: dict[str, list[OfferChoice]] | None = Field(default=None, description=_OF_SEGMENTS)


class AutomationOut(Out):
    key: AutomationKey
    enabled: bool
    settings: AutomationSettings
    version: int
    created_at: datetime
    updated_at: datetime


class AutomationList(Out):
    items: list[Item[AutomationOut]]


class GreetingIn(In):
    channel: ChannelWord
    language: Annotated[Language, AfterValidator(str.lower)] | None = Field(
        default=None, description="For customers with this language; left out, for all who have no greeting in theirs."
    )
    body: Prose = Field(
        description="Filled in: {{customer_name}}, {{ticket_number}}, {{ticket_subject}}.", max_length=5000
    )
    active: bool = True


class GreetingPatch(In):
    body: Prose | MISSING = Field(default=MISSING, max_length=5000)
    active: bool | MISSING = MISSING


class GreetingOut(Out):
    id: UUID
    channel: Channel
    language: str | None
    body: str
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class GreetingPage(Page[GreetingOut]): ...
