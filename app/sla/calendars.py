"""Business calendars as rows, and as what the core works with. Writing one makes its next version; versions stay, and
what was judged by one is never judged anew."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from uuid import UUID

import holidays
from sqlalchemy import and_, bindparam, func, insert, select, update
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor, require_policy_admin
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.sla import job_queue
from app.sla.core.calendar import LATEST, BusinessCalendar, Hours, zone_names
from app.sla.schemas.calendars import DAYS, BusinessCalendarIn, BusinessCalendarPatch, ComputeIn, ComputeOp
from app.sla.tables import business_calendar_versions as versions
from app.sla.tables import business_calendars as calendars
from app.web.etag import require
from app.web.paging import Listing, Order

Key = tuple[UUID, int]

_DEFINED = ["name", "timezone", "hours", "holidays", "holiday_region", "date_hours"]
_shown = [calendars.c.id, *(versions.c[name] for name in ("version", *_DEFINED, "created_at")), calendars.c.archived_at]
_is_current = and_(versions.c.calendar_id == calendars.c.id, versions.c.version == calendars.c.version)
_current = select(*_shown, versions.c.region_holidays).join(versions, _is_current)
_by_id = calendars.c.id == bindparam("key_id")

LISTING = Listing(
    "business_calendars",
    _current.where(calendars.c.archived_at.is_(None)),
    {},
    {"created_at": Order((calendars.c.created_at, calendars.c.id))},
)
_GET = Query(_current.where(_by_id))
_VERSION = Query(
    select(versions).where(versions.c.calendar_id == bindparam("id"), versions.c.version == bindparam("number"))
)
_LOCK = Query(
    select(calendars.c.version, calendars.c.archived_at, func.clock_timestamp().label("now"))
    .where(_by_id)
    .with_for_update(key_share=True)
)
_INSERT = Query(insert(calendars).returning(func.clock_timestamp().label("now")), ["id", "version"])
_INSERT_VERSION = Query(insert(versions), ["calendar_id", "version", *_DEFINED, "region_holidays"])
_UPDATE = Query(update(calendars).where(_by_id), ["version"])
_ARCHIVE = Query(update(calendars).where(_by_id), ["archived_at"])

_YEARS = range(1970, 2101)


class CalendarArchived(Conflict):
    """An archived calendar stays as it is. Policies that use it go on using it."""

    code = "calendar_archived"
    title = "The calendar is archived"


async def get_calendar(tx: Transaction, id: UUID) -> Row:
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no business calendar with this id")
    return row


async def create_calendar(tx: Transaction, actor: Actor, body: BusinessCalendarIn) -> Row:
    require_policy_admin(actor)
    id_ = uuid7()
    after = body.model_dump(mode="json")
    after["hours"] = {day: hours for day, hours in after["hours"].items() if hours is not None}
    built = build(after)
    made = await tx.locked_row(_INSERT, id=id_, version=1)
    assert made is not None
    _write_version(tx, id_, 1, after, built)
    _record_event(tx, actor, "created", id_, made["now"], {"version": 1, "after": after})
    await tx.flush()
    return await get_calendar(tx, id_)


async def change_calendar(
    tx: Transaction, actor: Actor, id: UUID, patch: BusinessCalendarPatch, if_match: str | None
) -> Row:
    """Make the next version. Running clocks are recomputed by it, batch by batch; what has ended stays as judged."""
    require_policy_admin(actor)
    before, now = await _locked(tx, id, if_match)
    if before["archived_at"] is not None:
        raise CalendarArchived("write a new calendar")
    was = _plain(before)
    values = patch.model_dump(mode="json")
    sent_only = patch.model_dump(mode="json", exclude_unset=True)
    for name in ("hours", "date_hours"):
        if name in values:
            # An object is merged, day by day; null takes a day or a date away.
            sent = sent_only[name]
            values[name] = {day: hours for day, hours in (was[name] | sent).items() if hours is not None}
    after = was | values
    changes = log.changes(was, after)
    if not changes:
        return before
    version = before["version"] + 1
    _write_version(tx, id, version, after, build(after))
    tx.write(_UPDATE, key_id=id, version=version)
    job_queue.queue(tx, job_queue.Kind.calendar_changed, id, now)
    _record_event(tx, actor, "updated", id, now, {"version": version, "changes": changes})
    await tx.flush()
    return await get_calendar(tx, id)


async def archive_calendar(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    """No new policy takes it from now on."""
    require_policy_admin(actor)
    before, now = await _locked(tx, id, if_match)
    if before["archived_at"] is None:
        tx.write(_ARCHIVE, key_id=id, archived_at=now)
        _record_event(tx, actor, "archived", id, now, {})


async def compute(tx: Transaction, asked: ComputeIn) -> datetime | float | bool:
    """Raises Invalid where the calendar or an operand is missing, and where the answer lies beyond all instants."""
    calendar = await _asked_for(tx, asked)
    if asked.op is ComputeOp.is_open:
        return calendar.is_open(asked.start)
    if asked.op is ComputeOp.elapsed:
        if asked.end is None:
            raise Invalid.at("/end", "required", "elapsed needs an end")
        return calendar.elapsed(asked.start, asked.end).total_seconds()
    if asked.seconds is None:
        raise Invalid.at("/seconds", "required", "after needs seconds")
    result = calendar.after(asked.start, timedelta(seconds=asked.seconds))
    if result == LATEST:
        raise Invalid.at("/seconds", "out_of_range", "so much time is not open before the year 2200")
    return result


async def _asked_for(tx: Transaction, asked: ComputeIn) -> BusinessCalendar:
    if (asked.calendar is None) == (asked.calendar_id is None):
        raise Invalid.at("/calendar", "required", "name a calendar by calendar_id, or send one; not both")
    if asked.calendar is not None:
        return build(asked.calendar.model_dump(mode="json"), "/calendar")
    row = await tx.row(_GET, key_id=asked.calendar_id)
    if row is None:
        raise Invalid.at("/calendar_id", "unknown", "there is no business calendar with this id")
    return await version(tx, (row["id"], row["version"]))


async def version(tx: Transaction, key: Key) -> BusinessCalendar:
    """One version of a calendar; read once per process, because it never changes."""
    held: dict[Key, BusinessCalendar] = tx.memo.setdefault("calendars", {})
    if key not in held:
        row = await tx.row(_VERSION, id=key[0], number=key[1])
        assert row is not None  # whoever names a version has a row that refers to it
        held[key] = as_calendar(row, key)
    return held[key]


async def versions_of(tx: Transaction, rows: Iterable[Values], prefix: str = "") -> dict[Key, BusinessCalendar]:
    """The calendars by which the clocks of these rows run."""
    id_, number = f"{prefix}calendar_id", f"{prefix}calendar_version"
    return {key: await version(tx, key) for key in {(row[id_], row[number]) for row in rows if row[id_]}}


def as_calendar(row: Values, key: Key) -> BusinessCalendar:
    return _built({**_plain(row), "region_holidays": row["region_holidays"]}, "", key)


def build(given: Mapping[str, Any], where: str = "") -> BusinessCalendar:
    """A calendar from its definition in JSON. Raises Invalid, with a pointer, for one that cannot be."""
    if given["timezone"] not in zone_names():
        raise Invalid.at(f"{where}/timezone", "unknown_zone", "an IANA time zone, such as Europe/Helsinki")
    regional = region_holidays(given["holiday_region"], f"{where}/holiday_region")
    return _built({**given, "region_holidays": regional}, where)


def _built(given: Mapping[str, Any], where: str, key: Key | tuple[None, None] = (None, None)) -> BusinessCalendar:
    weekly = [read_hours(given["hours"].get(day) or [], f"{where}/hours/{day}") for day in DAYS]
    if not any(weekly):
        raise Invalid.at(f"{where}/hours", "never_open", "a calendar is open at some time of the week")
    dates: dict[date, Hours] = dict.fromkeys((*given["region_holidays"], *map(_date, given["holidays"])), ())
    for day, hours in given["date_hours"].items():
        dates[_date(day)] = read_hours(hours, f"{where}/date_hours/{day}")
    return BusinessCalendar(given["timezone"], weekly, dates, *key)


def read_hours(given: Iterable[Iterable[str]], where: str) -> Hours:
    """Minutes after midnight, in order. Raises Invalid for intervals that are empty or overlap."""
    hours = []
    for index, (start, end) in enumerate(given):
        opens, closes = _minutes(start), _minutes(end)
        if opens >= closes:
            raise Invalid.at(f"{where}/{index}", "empty", "it closes after it opens; split what passes midnight in two")
        hours.append((opens, closes, index))
    hours.sort()
    for (_, closes, _), (opens, _, index) in pairwise(hours):
        if opens < closes:
            raise Invalid.at(f"{where}/{index}", "overlapping", "intervals of one day do not overlap")
    return tuple((opens, closes) for opens, closes, _ in hours)


@lru_cache
def region_holidays(region: str | None, where: str = "/holiday_region") -> tuple[date, ...]:
    """The public holidays of a country (FI) or one of its parts (US-MA), from the `holidays` library."""
    if region is None:
        return ()
    country, _, part = region.partition("-")
    known = holidays.list_supported_countries()
    if country not in known or (part and part not in known[country]):
        raise Invalid.at(where, "unknown_region", "an ISO 3166 country or subdivision, such as FI or US-MA")
    return tuple(sorted(holidays.country_holidays(country, subdiv=part or None, years=_YEARS)))


_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)


def _minutes(time: str) -> int:
    assert _TIME.fullmatch(time)  # the schema's pattern
    return int(time[:2]) * 60 + int(time[3:])


def _date(day: str | date) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day


def _plain(row: Values) -> dict[str, Any]:
    return {name: row[name] for name in _DEFINED} | {"holidays": [str(day) for day in row["holidays"]]}


def _write_version(tx: Transaction, id: UUID, version: int, after: Mapping[str, Any], built: BusinessCalendar) -> None:
    values = {name: after[name] for name in _DEFINED} | {"holidays": [_date(day) for day in after["holidays"]]}
    regional = region_holidays(after["holiday_region"])
    tx.write(_INSERT_VERSION, calendar_id=id, version=version, **values, region_holidays=list(regional))
    job_queue.count_up(tx)


async def _locked(tx: Transaction, id: UUID, if_match: str | None) -> tuple[Row, Any]:
    lock = await tx.locked_row(_LOCK, key_id=id)
    if lock is None:
        raise NotFound("there is no business calendar with this id")
    require(if_match, lock["version"], archived=lock["archived_at"] is not None)
    return await get_calendar(tx, id), lock["now"]


def _record_event(tx: Transaction, actor: Actor, verb: str, id: UUID, now: Any, data: dict[str, Any]) -> None:
    log.record(tx, log.actor_ref(actor), f"business_calendar.{verb}", id, now, data, internal=True)
