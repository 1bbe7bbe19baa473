"""Policies as rows, and as what the core works with. Writing a policy makes its next version; versions stay."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor, require_policy_admin
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.release import NewerRelease, understood, word
from app.revision_cache import RevisionCache
from app.segments.rules import Rule, RuleError, fields_read, first_failure, to_json
from app.sla import calendars, conditions, job_queue
from app.sla.conditions import SEGMENT, as_rule, reads_customers
from app.sla.core.calendar import BusinessCalendar
from app.sla.core.enums import METRICS, Metric, Priority, Status
from app.sla.core.policy import PAUSE_ON, OnReopen, Policy, Target
from app.sla.schemas.policies import SlaPolicyIn, SlaPolicyPatch
from app.sla.schemas.types import Hours
from app.sla.tables import business_calendars
from app.sla.tables import sla_policies as policies
from app.sla.tables import sla_policy_revision as revision
from app.sla.tables import sla_policy_versions as versions
from app.web import taken
from app.web.etag import require
from app.web.paging import Listing, Order
from app.web.schemas import fold

REVISION = select(revision.c.revision).scalar_subquery()

_DEFINED = [
    "name", "position", "conditions", "calendar_id", "on_reopen", "reopen_on_customer_message", "bot_counts",
    "shown_to_customers", "targets",
]  # fmt: skip
_SHOWN = [
    policies.c.id, policies.c.key, versions.c.version, *(versions.c[name] for name in _DEFINED), versions.c.created_at,
    policies.c.archived_at,
]  # fmt: skip
_is_current = and_(versions.c.policy_id == policies.c.id, versions.c.version == policies.c.version)
_current = select(*_SHOWN).join(versions, _is_current)
_every = select(*_SHOWN).join(versions, versions.c.policy_id == policies.c.id)
_is_live = policies.c.archived_at.is_(None)
_by_id = policies.c.id == bindparam("key_id")
_cal = business_calendars.c

LISTING = Listing(
    "sla_policies", _current.where(_is_live), {}, {"position": Order((versions.c.position, policies.c.id))}
)
VERSIONS = Listing(
    "sla_policy_versions",
    _every,
    {"policy_id": lambda name, _: policies.c.id == bindparam(name)},
    {"-version": Order((versions.c.version,), descending=True)},
)
_GET = Query(_current.where(_by_id))
_GET_BY_KEY = Query(_current.where(policies.c.key_folded == bindparam("key_folded")))
_LIVE = Query(
    _current.add_columns(business_calendars.c.version.label("calendar_version"))
    .outerjoin(business_calendars, business_calendars.c.id == versions.c.calendar_id)
    .where(_is_live)
    .order_by(versions.c.position, policies.c.id)
)
_VERSION = Query(_every.where(_by_id, versions.c.version == bindparam("number")))
_CALENDAR_KNOWN = Query(select(_cal.id).where(_cal.id == bindparam("calendar_id"), _cal.archived_at.is_(None)))
_LOCK = Query(
    select(policies.c.version, policies.c.archived_at, func.clock_timestamp().label("now"))
    .where(_by_id)
    .with_for_update(key_share=True)
)
_made = pg_insert(policies).on_conflict_do_nothing().returning(func.clock_timestamp().label("now"))
_INSERT = Query(_made, ["id", "key", "key_folded", "version"])
_INSERT_VERSION = Query(insert(versions), ["policy_id", "version", *_DEFINED])
_UPDATE = Query(update(policies).where(_by_id), ["key", "key_folded", "version", "updated_at"])
_ARCHIVE = Query(update(policies).where(_by_id), ["archived_at"])


class PolicyArchived(Conflict):
    """An archived policy stays as it is, for ever."""

    code = "policy_archived"
    title = "The policy is archived"


async def get_policy(tx: Transaction, id: UUID) -> Row:
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no policy with this id")
    return row


async def get_policy_by_key(tx: Transaction, key: str) -> Row:
    row = await tx.row(_GET_BY_KEY, key_folded=fold(key))
    if row is None:
        raise NotFound("there is no policy with this key")
    return row


async def create_policy(tx: Transaction, actor: Actor | None, body: SlaPolicyIn) -> Row:
    if actor is not None:
        require_policy_admin(actor)
    id_ = uuid7()
    made = await tx.locked_row(_INSERT, id=id_, key=body.key, key_folded=fold(body.key), version=1)
    if made is None:
        await taken.check(tx, policies, {"key_folded": fold(body.key)})
        raise Conflict("another one with this key was there a moment ago: repeat it")
    after = as_written(body.model_dump(mode="json"))
    await _write_version(tx, id_, 1, after, before={})
    _record_event(tx, actor, "created", id_, made["now"], {"version": 1, "after": after})
    await tx.flush()
    return await get_policy(tx, id_)


async def change_policy(tx: Transaction, actor: Actor, id: UUID, patch: SlaPolicyPatch, if_match: str | None) -> Row:
    """Make the next version. New matches take it; clocks that run keep theirs until something re-matches them."""
    require_policy_admin(actor)
    before, now = await _locked(tx, id, if_match)
    if before["archived_at"] is not None:
        raise PolicyArchived("write a new policy")
    was = {name: before[name] for name in ("key", *_DEFINED)}
    was["calendar_id"] = str(was["calendar_id"]) if was["calendar_id"] else None
    values = patch.model_dump(mode="json")
    if "conditions" in values:
        # An object is merged: the half that was not sent stays.
        sent = patch.model_dump(mode="json", include={"conditions"}, exclude_unset=True)
        values["conditions"] = was["conditions"] | sent["conditions"]
    after = as_written(was | values)
    changes = log.changes(was, after)
    if not changes:
        return before
    if "key" in changes:
        await taken.check(tx, policies, {"key_folded": fold(after["key"])}, id)
    version = before["version"] + 1
    await _write_version(tx, id, version, after, before=was)
    tx.write(_UPDATE, key_id=id, key=after["key"], key_folded=fold(after["key"]), version=version, updated_at=now)
    _record_event(tx, actor, "updated", id, now, {"version": version, "changes": changes})
    await tx.flush()
    return await get_policy(tx, id)


async def archive_policy(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    """No ticket matches it from now on. What was judged by it stays readable and as it is."""
    require_policy_admin(actor)
    before, now = await _locked(tx, id, if_match)
    if before["archived_at"] is None:
        tx.write(_ARCHIVE, key_id=id, archived_at=now)
        job_queue.count_up(tx)
        job_queue.queue(tx, job_queue.Kind.policy_archived, id, now)
        _record_event(tx, actor, "archived", id, now, {})


@dataclass(frozen=True, slots=True)
class FactsInUse:
    """What the policies in force read besides the ticket."""

    customers: bool = False
    segments: bool = False

    def __bool__(self) -> bool:
        return self.customers or self.segments


@dataclass(frozen=True, slots=True)
class InForce:
    """The policies to match against, in order, with their calendars, and what they read."""

    policies: tuple[Policy, ...]
    facts: FactsInUse


async def _read_in_force(tx: Transaction) -> InForce:
    rows = await tx.rows(_LIVE)
    known = await calendars.versions_of(tx, rows)

    def with_calendar(row: Row) -> tuple[int | None, Policy]:
        return row["calendar_version"], as_policy(row, known.get((row["calendar_id"], row["calendar_version"])))

    some = list(understood(with_calendar, rows))
    # Tickets opened under them are read again soon.
    seen = {(policy.id, policy.version, calendar_version): policy for calendar_version, policy in some}
    tx.memo.setdefault("policy versions", {}).update(seen)
    found = tuple(policy for _, policy in some)
    rules = [policy.rule for policy in found]
    facts = FactsInUse(any(map(reads_customers, rules)), any(SEGMENT in fields_read(rule) for rule in rules))
    return InForce(found, facts)


REVISION_NOW = Query(select(revision.c.revision))
IN_FORCE = RevisionCache(REVISION_NOW, _read_in_force)


async def in_force(tx: Transaction, current: int) -> tuple[Policy, ...]:
    """The policies to match against as of revision `current`, in order."""
    return (await IN_FORCE.at(tx, current)).policies


def facts_in_use(tx: Transaction) -> FactsInUse:
    """As of the revision that this process knows: nothing, before it has seen any."""
    known = IN_FORCE.known(tx)
    return known.facts if known else FactsInUse()


async def version(tx: Transaction, id: UUID | None, number: int | None, calendar_version: int | None) -> Policy | None:
    """A policy version with a version of its calendar; read once per process, because neither ever changes."""
    if id is None:
        return None
    held: dict[object, Policy] = tx.memo.setdefault("policy versions", {})
    key = id, number, calendar_version
    if key not in held:
        row = await tx.row(_VERSION, key_id=id, number=number)
        assert row is not None  # whoever names a version has a row that refers to it
        calendar = await calendars.version(tx, (row["calendar_id"], calendar_version)) if calendar_version else None
        held[key] = as_policy(row, calendar)
    return held[key]


async def explain(tx: Transaction, facts: Mapping[str, object]) -> dict[str, Any]:
    """Every policy in the order in which they are tried, each with the first condition that does not hold."""
    tried: list[dict[str, Any]] = []
    taken: Row | None = None
    for row, rule in understood(lambda row: (row, _rule_of(row)), await tx.rows(_LIVE)):
        failed = first_failure(rule, facts)
        taken = taken or (row if failed is None else None)
        tried.append({
            **{name: row[name] for name in ("id", "key", "name", "version", "position")},
            "matches": failed is None,
            "taken": row is taken,
            "failed": None if failed is None else to_json(failed),
        })  # fmt: skip
    return {
        "policies": tried,
        "policy_id": taken["id"] if taken else None,
        "policy_version": taken["version"] if taken else None,
    }


async def with_now(tx: Transaction, id: UUID) -> tuple[Row, datetime]:
    """Raises NotFound."""
    return await get_policy(tx, id), await tx.now()


def record_reapply(tx: Transaction, actor: Actor, id: UUID, job_id: UUID, now: datetime) -> None:
    _record_event(tx, actor, "reapplied", id, now, {"job_id": job_id})


def as_policy(row: Values, calendar: BusinessCalendar | None) -> Policy:
    """Targets of metrics that only a newer release measures are left to that. Raises NewerRelease."""
    targets = tuple(
        Target(
            Metric(target["metric"]),
            word(Priority, target["priority"]) if target["priority"] else None,
            target["seconds"],
            tuple(target["warn_at_percent"]),
            target.get("hours") == Hours.business,
            frozenset(word(Status, status) for status in target["pause_on"]) if "pause_on" in target else None,
        )
        for target in row["targets"]
        if target["metric"] in METRICS
    )
    return Policy(
        row["id"], row["version"], row["position"], _rule_of(row), targets, row["bot_counts"],
        word(OnReopen, row["on_reopen"]), row["reopen_on_customer_message"], calendar, row["shown_to_customers"],
    )  # fmt: skip


def _rule_of(row: Values) -> Rule:
    """Raises NewerRelease."""
    try:
        return as_rule(row["conditions"])
    except RuleError:
        raise NewerRelease(f"the conditions of the policy {row['id']}") from None


def to_response(row: Values) -> dict[str, Any]:
    """A policy whose older versions were written before a target had everything that one has today."""
    usual = {"hours": Hours.calendar}
    return {**row, "targets": [{**usual, "pause_on": _usual(t), **t} for t in row["targets"]]}


def _usual(target: Mapping[str, Any]) -> list[str]:
    return sorted(PAUSE_ON.get(target["metric"], ()))


def as_written(policy: dict[str, Any]) -> dict[str, Any]:
    """With what was left out of its targets written down: a version says all that it means."""
    targets = [
        {**target, "pause_on": _usual(target) if target.get("pause_on") is None else sorted(set(target["pause_on"]))}
        for target in policy["targets"]
    ]
    return {**policy, "targets": targets}


async def _write_version(
    tx: Transaction, id: UUID, version: int, after: dict[str, Any], before: Mapping[str, Any]
) -> None:
    # What it has already stays, though it could not be written any more.
    if after["conditions"] != before.get("conditions"):
        await conditions.check(tx, after["conditions"])
    check_targets(after)
    calendar_id = UUID(after["calendar_id"]) if after["calendar_id"] else None
    # Its calendar may have been archived since: the policy goes on using it.
    if (
        calendar_id
        and after["calendar_id"] != before.get("calendar_id")
        and await tx.row(_CALENDAR_KNOWN, calendar_id=calendar_id) is None
    ):
        raise Invalid.at("/calendar_id", "unknown", "there is no business calendar with this id")
    fields = {name: after[name] for name in _DEFINED} | {"calendar_id": calendar_id}
    tx.write(_INSERT_VERSION, policy_id=id, version=version, **fields)
    job_queue.count_up(tx)


def check_targets(policy: Mapping[str, Any]) -> None:
    """Raises Invalid."""
    seen = set()
    for index, target in enumerate(policy["targets"]):
        percents = target["warn_at_percent"]
        if sorted(set(percents)) != percents:
            raise Invalid.at(f"/targets/{index}/warn_at_percent", "not_ascending", "list each percent once, ascending")
        if target["hours"] == Hours.business and not policy["calendar_id"]:
            raise Invalid.at(f"/targets/{index}/hours", "no_calendar", "business hours need a calendar_id")
        what = target["metric"], target["priority"]
        if what in seen:
            raise Invalid.at(f"/targets/{index}", "duplicate_target", "one target per metric and priority")
        seen.add(what)


async def _locked(tx: Transaction, id: UUID, if_match: str | None) -> tuple[Row, Any]:
    lock = await tx.locked_row(_LOCK, key_id=id)
    if lock is None:
        raise NotFound("there is no policy with this id")
    require(if_match, lock["version"], archived=lock["archived_at"] is not None)
    return await get_policy(tx, id), lock["now"]


def _record_event(tx: Transaction, actor: Actor | None, verb: str, id: UUID, now: Any, data: dict[str, Any]) -> None:
    log.record(tx, log.actor_ref(actor), f"sla_policy.{verb}", id, now, data, internal=True)
