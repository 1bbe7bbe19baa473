"""Spans as people say them: instants, or plain dates of a time zone."""

from datetime import date, datetime, time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, field_validator
from pydantic.json_schema import WithJsonSchema

from app.sla.core.calendar import midnight, zone_names
from app.web.schemas import parse_instant


def _moment(value: object) -> object:
    """A date stays one: which instant it is depends on the zone."""
    if isinstance(value, str) and len(value) == len("2026-01-31"):
        day = date.fromisoformat(value)
        parse_instant(datetime.combine(day, time()).isoformat() + "Z")
        return day
    return parse_instant(value)


Moment = Annotated[
    datetime | date,
    PlainValidator(_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}),
]
_ZONE = "An IANA time zone: where days begin, and what plain dates mean."


class SpanQuery(BaseModel):
    """`from` and `to`, as instants or as dates of the `timezone`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    timezone: Annotated[str, Field(max_length=64, description=_ZONE, examples=["Europe/Helsinki"])] = "UTC"
    from_: Annotated[
        Moment | None,
        Field(alias="from", description="Inclusive, a date from its beginning; left out: from the beginning."),
    ] = None
    to: Annotated[Moment | None, Field(description="Exclusive, a date too; left out: up to now.")] = None

    @field_validator("timezone")
    @classmethod
    def _known(cls, zone: str) -> str:
        if zone not in zone_names():
            raise ValueError("an IANA time zone, such as Europe/Helsinki")
        return zone

    def span(self, zone: str | None = None) -> tuple[datetime | None, datetime | None]:
        """From when until when: dates are those of the `timezone`, or of another zone."""
        return self._instant(self.from_, zone), self._instant(self.to, zone)

    def _instant(self, moment: date | None, zone: str | None) -> datetime | None:
        if moment is None or isinstance(moment, datetime):
            return moment
        return midnight(zone or self.timezone, moment)
