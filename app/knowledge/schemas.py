"""What articles, suggestions and automations look like on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.customers.schemas import Folded
from app.search.schemas import Words
from app.web.paging import PageQuery
from app.web.query import AnyOf
from app.web.schemas import Id, In, Key, Name, Out, Page, Prose, Tags

Body = Annotated[Prose, Field(max_length=10_000)]
SegmentIds = Annotated[list[Id], Field(max_length=50)]
_OF_SEGMENTS = "Whose members may have it; none named: everybody. Empty to customers."


class ArticleIn(In):
    key: Key = Field(description="The same in each language that the answer is there in.")
    title: Name
    body: Body
    language: Folded
    tags: Tags = []
    segment_ids: SegmentIds = Field(default=[], description=_OF_SEGMENTS)
    active: bool = True


class ArticlePatch(In):
    key: Key | MISSING = MISSING
    title: Name | MISSING = MISSING
    body: Body | MISSING = MISSING
    language: Folded | MISSING = MISSING
    tags: Tags | MISSING = MISSING
    segment_ids: SegmentIds | MISSING = MISSING
    active: bool | MISSING = MISSING


class ArticleOut(Out):
    id: UUID
    key: str
    title: str
    body: str
    language: str
    tags: list[str]
    segment_ids: list[UUID] = Field(description=_OF_SEGMENTS)
    active: bool
    archived_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class ArticlePage(Page[ArticleOut]): ...


class ArticleQuery(PageQuery):
    language: AnyOf[Folded] = Field(default=None, description="`en` finds what is in en-GB, too.")
    tag: AnyOf[Key] = None
    active: bool | None = None
    q: Words | None = Field(
        default=None, description="Words of title, body and tags, all of them; the last one is a beginning."
    )


class SuggestIn(In):
    text: Prose = Field(description="What somebody asks, in their own words.")
    language: Folded | None = Field(default=None, description="Left out: articles in every language.")
    limit: Annotated[int, Field(ge=1, le=20)] = 5


class SuggestionOut(Out):
    id: UUID
    key: str
    title: str
    excerpt: str = Field(description="How its body begins.")
    language: str
    score: float = Field(
        description="From 0 to 1: how much of what was asked it speaks of, by the rarity of the words."
    )


class SuggestionList(Out):
    """The best first."""

    items: list[SuggestionOut]
