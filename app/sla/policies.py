"""Policies as rows, and as what the core works with. Writing a policy makes its next version; versions stay."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, insert, literal_column, select, update
from uuid_utils.compat import uuid7

from app.auth.guard import Actor
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.segments.rules import Fields, FieldType, RuleError, parse_conditions
from app.sla.core.policy import Metric, Policy, Priority, Target
from app.sla.schemas import SlaPolicyIn, SlaPolicyPatch
from app.sla.tables import sla_policies as policies
from app.sla.tables import sla_policy_revision as revision
from app.sla.tables import sla_policy_versions as versions
from app.web.etag import require
from app.web.paging import Listing, Order
from app.web.schemas import fold

# What conditions may read of a ticket. A change of any of them re-matches the ticket; its status and assignee are
# left out on purpose, because neither moves a clock to another policy.
TICKET_FIELDS = Fields(
    exact={
        "ticket.subject": FieldType.TEXT,
        "ticket.priority": FieldType.TEXT,
        "ticket.type": FieldType.TEXT,
        "ticket.channel": FieldType.TEXT,
        "ticket.product": FieldType.TEXT,
        "ticket.team_id": FieldType.TEXT,
        "ticket.tags": FieldType.TEXT_SET,
    },
    prefixes={"ticket.custom_fields.": FieldType.ANY_SCALAR},
    words={"ticket.priority": [word.value for word in Priority]},
)
REVISION = select(revision.c.revision).scalar_subquery()

_SHOWN = [
    policies.c.id, policies.c.key, versions.c.name, versions.c.version, versions.c.position, versions.c.conditions,
    versions.c.targets, versions.c.bot_counts, versions.c.created_at, policies.c.archived_at,
]  # fmt: skip
_current = select(*_SHOWN).join(
    versions, and_(versions.c.policy_id == policies.c.id, versions.c.version == policies.c.version)
)
_every = select(*_SHOWN).join(versions, versions.c.policy_id == policies.c.id)
_live = policies.c.archived_at.is_(None)
_by_id = policies.c.id == bindparam("key_id")

LISTING = Listing("sla_policies", _current.where(_live), {}, {"position": Order((versions.c.position, policies.c.id))})
VERSIONS = Listing(
    "sla_policy_versions",
    _every,
    {"policy_id": lambda name, _: policies.c.id == bindparam(name)},
    {"-version": Order((versions.c.version,), descending=True)},
)
_GET = Query(_current.where(_by_id))
_IN_FORCE = Query(_current.where(_live).order_by(versions.c.position, policies.c.id))
_EVERY = Query(_every)
_LOCK = Query(select(policies.c.version, func.clock_timestamp().label("now")).where(_by_id).with_for_update())
_INSERT = Query(insert(policies).returning(func.clock_timestamp().label("now")), ["id", "key", "key_folded", "version"])
_INSERT_VERSION = Query(
    insert(versions), ["policy_id", "version", "name", "position", "conditions", "targets", "bot_counts"]
)
_UPDATE = Query(update(policies).where(_by_id), ["key", "key_folded", "version", "updated_at"])
_ARCHIVE = Query(update(policies).where(_by_id), ["archived_at"])
_COUNT_UP = Query(update(revision).values(revision=literal_column("revision + 1")))
_WHERE_REVISION = Query(select(revision.c.revision))


class PolicyArchived(Conflict):
    """An archived policy stays as it is, for ever."""

    code = "policy_archived"
    title = "The policy is archived"


async def get_policy(tx: Transaction, id: UUID) -> Row:
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no policy with this id")
    return row


async def create_policy(tx: Transaction, actor: Actor | None, body: SlaPolicyIn) -> Row:
    id_ = uuid7()
    made = await tx.locked_row(_INSERT, id=id_, key=body.key, key_folded=fold(body.key), version=1)
    assert made is not None
    after = body.model_dump(mode="json")
    _write_version(tx, id_, 1, after)
    _record(tx, actor, "created", id_, made["now"], {"version": 1, "after": after})
    await tx.flush()
    return await get_policy(tx, id_)


async def change_policy(tx: Transaction, actor: Actor, id: UUID, patch: SlaPolicyPatch, if_match: str | None) -> Row:
    """Make the next version. New matches take it; clocks that run keep theirs until something re-matches them."""
    before, now = await _locked(tx, id, if_match)
    if before["archived_at"] is not None:
        raise PolicyArchived("write a new policy")
    fields = ("key", "name", "position", "conditions", "targets", "bot_counts")
    was = {name: before[name] for name in fields}
    values = patch.model_dump(mode="json")
    if "conditions" in values:
        # An object is merged: the half that was not sent stays.
        sent = patch.model_dump(mode="json", include={"conditions"}, exclude_unset=True)
        values["conditions"] = was["conditions"] | sent["conditions"]
    after = was | values
    changes = log.changes(was, after)
    if not changes:
        return before
    version = before["version"] + 1
    _write_version(tx, id, version, after)
    tx.write(_UPDATE, key_id=id, key=after["key"], key_folded=fold(after["key"]), version=version, updated_at=now)
    _record(tx, actor, "updated", id, now, {"version": version, "changes": changes})
    await tx.flush()
    return await get_policy(tx, id)


async def archive_policy(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    """No ticket matches it from now on. What was judged by it stays readable and as it is."""
    before, now = await _locked(tx, id, if_match)
    if before["archived_at"] is None:
        tx.write(_ARCHIVE, key_id=id, archived_at=now)
        tx.write(_COUNT_UP)
        _record(tx, actor, "archived", id, now, {})


async def in_force(tx: Transaction, current: int) -> tuple[Policy, ...]:
    """The policies to match against, in order, as of revision `current`. Read once per change and process."""
    held: tuple[int, tuple[Policy, ...]] | None = tx.memo.get("policies")
    if held is None or held[0] != current:
        # The revision is read again with them: a change in between must not pass for current.
        held = await revision_now(tx), tuple(as_policy(policy) for policy in await tx.rows(_IN_FORCE))
        tx.memo["policies"] = held
    return held[1]


async def revision_now(tx: Transaction) -> int:
    row = await tx.row(_WHERE_REVISION)
    assert row is not None
    revision_: int = row["revision"]
    return revision_


async def every_version(tx: Transaction) -> dict[tuple[UUID, int], Policy]:
    return {(row["id"], row["version"]): as_policy(row) for row in await tx.rows(_EVERY)}


def as_policy(row: Values) -> Policy:
    targets = tuple(
        Target(
            Metric(target["metric"]),
            Priority(target["priority"]) if target["priority"] else None,
            target["seconds"],
            tuple(target["warn_at_percent"]),
        )
        for target in row["targets"]
    )
    conditions = row["conditions"]
    rule = parse_conditions(conditions["all"], conditions["any"], TICKET_FIELDS)
    return Policy(row["id"], row["version"], row["position"], rule, targets, row["bot_counts"])


def _write_version(tx: Transaction, id: UUID, version: int, after: dict[str, Any]) -> None:
    _check(after)
    fields = {name: after[name] for name in ("name", "position", "conditions", "targets", "bot_counts")}
    tx.write(_INSERT_VERSION, policy_id=id, version=version, **fields)
    tx.write(_COUNT_UP)


def _check(policy: Mapping[str, Any]) -> None:
    try:
        parse_conditions(policy["conditions"]["all"], policy["conditions"]["any"], TICKET_FIELDS)
    except RuleError as wrong:
        raise Invalid.at(f"/conditions{wrong.pointer}", wrong.code, wrong.detail) from None
    seen = set()
    for index, target in enumerate(policy["targets"]):
        percents = target["warn_at_percent"]
        if sorted(set(percents)) != percents:
            raise Invalid.at(f"/targets/{index}/warn_at_percent", "not_ascending", "list each percent once, ascending")
        what = target["metric"], target["priority"]
        if what in seen:
            raise Invalid.at(f"/targets/{index}", "duplicate_target", "one target per metric and priority")
        seen.add(what)


async def _locked(tx: Transaction, id: UUID, if_match: str | None) -> tuple[Row, Any]:
    lock = await tx.locked_row(_LOCK, key_id=id)
    if lock is None:
        raise NotFound("there is no policy with this id")
    require(if_match, lock["version"])
    return await get_policy(tx, id), lock["now"]


def _record(tx: Transaction, actor: Actor | None, verb: str, id: UUID, now: Any, data: dict[str, Any]) -> None:
    log.record(tx, log.by(actor), f"sla_policy.{verb}", id, now, data, internal=True)
