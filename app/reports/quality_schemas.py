"""The report on quality, as callers ask for it and get it."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from app.errors import Invalid
from app.reports.schemas import Bucket, GroupQuery, Interval, ReportGroup
from app.sla.schemas.local_time import Moment, SpanQuery
from app.tickets.satisfaction_schemas import Expectation
from app.web.query import AnyOf
from app.web.schemas import FROM_TEXT, Out

LONGEST = timedelta(days=366)
USUAL = timedelta(days=30)
MOST_CLASSES = 10


class QualityQuery(SpanQuery, GroupQuery):
    from_: Annotated[
        Moment | None, Field(alias="from", description="Inclusive; at most 366 days before `to`, left out: 30 days.")
    ] = None
    interval: Annotated[Interval | None, FROM_TEXT] = None
    within_days: Annotated[int, Field(ge=1, le=90, description="For repeat contacts.")] = 7
    buckets: AnyOf[Bucket] = Field(
        default=None,
        description="Upper ends in seconds, ten at most: the classes of `complaints`. Left out: 5 minutes, an hour, a "
        "day.",
        examples=[[90, 3600]],
    )

    def ends(self) -> list[float]:
        """Raises Invalid."""
        ends = sorted(set(self.buckets or (300.0, 3_600.0, 86_400.0)))
        if len(ends) > MOST_CLASSES:
            raise Invalid.at("/query/buckets", "too_many", f"at most {MOST_CLASSES} classes")
        return ends

    def whole_span(self, now: datetime) -> tuple[datetime, datetime]:
        """Raises Invalid."""
        from_, to = self.span()
        to = to or now
        from_ = from_ or to - USUAL
        if to - from_ > LONGEST:
            raise Invalid.at("/query/from", "too_long", f"at most {LONGEST.days} days before `to`")
        return from_, to


class SaidAndCame(Out):
    said: float
    came: float | None = Field(description="Null where nobody was told anything.")


class OutlookScore(Out):
    """Of the newest 20,000 waits of the span that are over and still remembered."""

    told: int
    said: list[SaidAndCame]
    pinball_loss_seconds: float | None


class Resolutions(Out):
    """Each time a ticket was resolved or closed in the span. `agent`: who resolved it."""

    resolved: int = Field(description="Resolutions.")
    reopened: int = Field(description="Of these, those after which the ticket was opened again, whenever.")
    reopen_rate: float | None = Field(description="Percent: reopened of resolved.")
    by_person: int = Field(description="A person resolved it, or had answered in public.")
    by_bot: int = Field(description="A bot had answered in public, and no person.")
    by_article: int = Field(description="Its customer said that an article helped, and no person had answered.")
    by_nobody: int = Field(description="Nobody had answered.")


class ExpectationFigures(Out):
    expectation: Expectation
    met: int = Field(description="How often customers said so.")
    missed: int = Field(description="Likewise.")


class SatisfactionFigures(Out):
    """What customers said of the resolutions of the span, one each. `agent`: who resolved it."""

    given: int = Field(description="Resolutions that customers rated.")
    mean_score: float | None = Field(description="1 to 5.")
    scores: list[int] = Field(description="How often 1, 2, 3, 4 and 5.")
    expectations: list[ExpectationFigures] = Field(description="All four.")


class Contacts(Out):
    """Tickets whose customer began in the span to wait for a first answer. `agent`: who gave it."""

    contacts: int = Field(description="All of them.")
    repeated: int = Field(
        description="Of these, those of a customer who had contacted us of the same product (or, both times, none) in "
        "the `within_days` before."
    )
    repeat_rate: float | None = Field(description="Percent: repeated of contacts.")


class PromisesKept(Out):
    """Promises that were due in the span, as customers are told of them. `agent`: who made it."""

    kept: int = Field(description="In time.")
    broken: int = Field(description="Not kept in time.")
    withdrawn: int = Field(description="Before the instant.")
    open: int = Field(description="Not over yet.")
    kept_rate: float | None = Field(description="Percent: kept of kept and broken.")


class ComplaintClass(Out):
    """Complaints resolved in the span and not reopened since, whose first answer took longer than the class before and
    up to this. `agent`: who resolved it."""

    up_to_seconds: float | None = Field(description="Inclusive, in the clock's own time; null: longer, or unanswered.")
    answered: bool = Field(description="False in the last class: those without a first answer.")
    resolved: int = Field(description="All of them.")
    satisfied: int = Field(description="Whose customer gave a 4 or 5, the last time.")
    came_back: int = Field(
        description="Whose customer contacted us within 90 days of the resolution with something that is no complaint."
    )
    recovered: int = Field(description="Satisfied or came back.")
    recovery_rate: float | None = Field(description="Percent: recovered of resolved.")


class PersonRequests(Out):
    """Requests for a person that were made in the span. `agent`: who answered."""

    asked: int = Field(description="All of them.")
    answered: int = Field(description="By a person, in public.")
    waiting: int = Field(description="Without an answer yet.")
    mean_seconds: float | None = Field(description="From asking to that answer, by every hour, as the next two.")
    p50_seconds: float | None = Field(description="Nearest rank.")
    p90_seconds: float | None = Field(description="Likewise.")


class PoorQuality(Out):
    """What complaints and returns cost that were resolved in the span and not reopened since. `agent`: who resolved
    it."""

    complaints: int = Field(description="Of type `complaint`.")
    returns: int = Field(description="Of type `return`.")
    handling_seconds: float = Field(description="All that the staff worked on these tickets, as far as known.")
    cost: float | None = Field(
        description="Sum of the custom field that NINETY_COST_FIELD names; null where it names none."
    )


class Handling(Out):
    """Messages of the span that say how long the staff worked on them. `agent`: who wrote it."""

    tickets: int = Field(description="That these messages are on.")
    messages: int = Field(description="All of them.")
    handling_seconds: float = Field(description="Added up.")
    mean_handling_seconds: float | None = Field(description="Of a message.")


class QualityFigures(Out):
    """One interval and group. Each figure is of what its ticket was then; spam is in none."""

    interval_start: datetime | None
    group: ReportGroup
    resolutions: Resolutions
    satisfaction: SatisfactionFigures
    contacts: Contacts
    promises: PromisesKept
    complaints: list[ComplaintClass] = Field(description="By the speed of the first answer.")
    person_requests: PersonRequests
    poor_quality: PoorQuality
    handling: Handling


class QualityReport(Out):
    items: list[QualityFigures]
    outlook: OutlookScore
