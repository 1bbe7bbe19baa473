"""Segments: which customers need what. Writing a rule makes its next version; who belongs follows by a job."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import bindparam, insert, literal_column, select, update

from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.errors import Conflict, Invalid
from app.events import log, reader
from app.events.resource import Resource
from app.release import NewerRelease, understood
from app.revision_cache import RevisionCache
from app.segments import job_queue
from app.segments.decide import Segment
from app.segments.fields import FIGURES, OF_SEGMENTS
from app.segments.possible import possible
from app.segments.rules import Rule, RuleError, fields_read, parse
from app.segments.schemas import SegmentIn, SegmentJobKind, SegmentPatch
from app.segments.tables import segment_revision, segment_versions, segments
from app.web.paging import Listing, Order, is_any
from app.web.schemas import fold

# Of the log, for figures that change.
READER = "segments"
_COLUMNS = ["key", "name", "description", "need", "position", "rule", "self_service", "judged"]
SEGMENTS = Resource(segments, "segment", _COLUMNS, derived=["key_folded", "rule_version"])
LISTING = Listing(
    "segments",
    SEGMENTS.select.where(segments.c.archived_at.is_(None)),
    {},
    {"position": Order((segments.c.position, segments.c.id))},
)
VERSIONS = Listing(
    "segment_versions",
    select(segment_versions),
    {"segment_id": is_any(segment_versions.c.segment_id)},
    {"-version": Order((segment_versions.c.version,), descending=True)},
)
REVISION = select(segment_revision.c.revision).scalar_subquery()
_LIVE = Query(select(segments).where(segments.c.archived_at.is_(None)).order_by(segments.c.position, segments.c.id))
_INSERT_VERSION = Query(insert(segment_versions), ["segment_id", "version", "rule", "created_at"])
_ARCHIVE = Query(update(segments).where(segments.c.id == bindparam("key_id")), ["archived_at"])
_COUNT_UP = Query(update(segment_revision).values(revision=literal_column("revision + 1")))


class SegmentArchived(Conflict):
    """An archived segment stays as it is and has no members."""

    code = "segment_archived"
    title = "The segment is archived"


async def rule_from(tx: Transaction, raw: object) -> Rule:
    """Raises Invalid, with a pointer to the wrong part."""
    try:
        rule = parse(raw, OF_SEGMENTS, "/rule")
        return parse(raw, await possible(tx, OF_SEGMENTS, rule, {}, {}), "/rule")
    except RuleError as wrong:
        raise Invalid.at(wrong.pointer, wrong.code, wrong.detail) from None


async def _rule_written(tx: Transaction, raw: object) -> None:
    """Raises Invalid. The first rule that reads figures is decided on by a job, and the log is read from now on."""
    if raw is None or fields_read(await rule_from(tx, raw)).isdisjoint(FIGURES):
        return
    rules = [segment.rule for segment in (await IN_FORCE.now(tx)).values()]
    if all(rule is None or fields_read(rule).isdisjoint(FIGURES) for rule in rules):
        await reader.begin_now(tx, READER)


async def create_segment(tx: Transaction, actor: Actor, body: SegmentIn) -> Row:
    values = body.model_dump()
    await _rule_written(tx, values["rule"])
    row = await SEGMENTS.create(tx, actor, {**values, "key_folded": fold(body.key), "rule_version": 1})
    now = row["now"]
    tx.write(_INSERT_VERSION, segment_id=row["id"], version=1, rule=values["rule"], created_at=now)
    tx.write(_COUNT_UP)
    if values["rule"] is not None:
        job_queue.queue(tx, SegmentJobKind.rule_changed, row["id"], now)
    return row


async def change_segment(tx: Transaction, actor: Actor, id: UUID, patch: SegmentPatch, if_match: str | None) -> Row:
    """Merge patch; a rule is replaced whole."""
    before = await locked(tx, id, if_match)
    values = patch.model_dump()
    if values.pop("key", before["key"]) != before["key"]:
        raise Invalid.at("/key", "fixed", "a segment's key never changes: rules, reports and tickets name it")
    if values.get("rule") != before["rule"]:
        await _rule_written(tx, values.get("rule"))
    changes = log.changes(before, values)
    if "rule" in changes:
        values["rule_version"] = before["rule_version"] + 1
    after = await SEGMENTS.change(tx, actor, before, values)
    if not changes:
        return before
    now = before["now"]
    tx.write(_COUNT_UP)
    if "rule" in changes:
        version = after["rule_version"]
        tx.write(_INSERT_VERSION, segment_id=id, version=version, rule=after["rule"], created_at=now)
        job_queue.queue(tx, SegmentJobKind.rule_changed, id, now)
    if "judged" in changes:
        job_queue.queue(tx, SegmentJobKind.judgement_changed, id, now)
    return after


async def archive_segment(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    """Its members leave it. What names it stays: tickets their stamp, policies a condition that nobody meets."""
    before = await SEGMENTS.locked(tx, id, if_match)
    if before["archived_at"] is None:
        now = before["now"]
        tx.write(_ARCHIVE, key_id=id, archived_at=now)
        tx.write(_COUNT_UP)
        job_queue.queue(tx, SegmentJobKind.archived, id, now)
        changes = {"archived_at": {"before": None, "after": now}}
        log.record(tx, log.actor_ref(actor), "segment.archived", id, now, {"changes": changes}, internal=True)


async def locked(tx: Transaction, id: UUID, if_match: str | None = None) -> Row:
    """One that is in force. Raises NotFound, PreconditionFailed and SegmentArchived."""
    row = await SEGMENTS.locked(tx, id, if_match)
    if row["archived_at"] is not None:
        raise SegmentArchived("make a new one")
    return row


async def _read_in_force(tx: Transaction) -> Mapping[UUID, Segment]:
    return {segment.id: segment for segment in understood(as_segment, await tx.rows(_LIVE))}


# The first one first.
IN_FORCE = RevisionCache(Query(select(segment_revision.c.revision)), _read_in_force)


def as_segment(row: Row) -> Segment:
    """Raises NewerRelease."""
    try:
        rule = None if row["rule"] is None else parse(row["rule"], OF_SEGMENTS)
    except RuleError:
        raise NewerRelease(f"the rule of the segment {row['key']!r}") from None
    return Segment(
        row["id"], row["key"], row["position"], rule, row["rule_version"], row["self_service"], row["judged"]
    )
