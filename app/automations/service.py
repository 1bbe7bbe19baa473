"""What the service does by itself, as rules that an installation turns on and off. Each act names the rule and
its version in the log, and none befalls whom an exception of the kind `automation` covers."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, bindparam, func, literal_column, or_, select

from app.auth.dependencies import Actor
from app.automations.schemas import AutomationPatch
from app.automations.tables import automations
from app.db import Query, Row, Transaction
from app.errors import Invalid, NotFound
from app.events.resource import Resource, merged
from app.segments.tables import segment_members
from app.sla.core.enums import AutomationKey
from app.sla.customer_context import CustomerContext
from app.sla.tables import sla_exceptions

_a, _x, _m = automations.c, sla_exceptions.c, segment_members.c
AUTOMATIONS = Resource(automations, "automation", ["enabled", "settings"])
# What only a newer release does by itself is left out.
_LIST = Query(
    AUTOMATIONS.select.where(_a.key.in_([literal_column(f"'{key}'") for key in AutomationKey])).order_by(_a.key)
)
_GET = Query(AUTOMATIONS.select.where(_a.key == bindparam("key")))


def is_on(key: AutomationKey) -> ColumnElement[bool]:
    return (_a.key == literal_column(f"'{key}'")) & _a.enabled


def excepted(
    key: AutomationKey, customer_id: ColumnElement[Any], segment_ids: ColumnElement[Any], *also: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Whether an exception keeps this automation from a customer who belongs to these segments."""
    covers = or_(
        _x.scope == literal_column("'everything'"),
        _x.customer_id == customer_id,
        _x.segment_id == any_(segment_ids),
        *also,
    )
    named = or_(
        func.cardinality(_x.automations) == literal_column("0"), literal_column(f"'{key}'") == any_(_x.automations)
    )
    return (
        select(literal_column("1"))
        .where(
            _x.kind == literal_column("'automation'"),
            _x.revoked_at.is_(None),
            _x.starts_at <= func.clock_timestamp(),
            or_(_x.expires_at.is_(None), _x.expires_at > func.clock_timestamp()),
            named,
            covers,
        )
        .correlate_except(sla_exceptions)
        .exists()
    )


_OF = {
    key: Query(
        select(
            excepted(key, bindparam("customer_id", type_=Uuid), bindparam("segment_ids", type_=ARRAY(Uuid))).label(
                "off"
            )
        )
    )
    for key in AutomationKey
}


async def reaches(tx: Transaction, key: AutomationKey, context: CustomerContext) -> bool:
    """Whether no exception keeps it from them."""
    ids = [segment.id for segment in context.segments]
    row = await tx.row(_OF[key], customer_id=context.customer_id, segment_ids=ids)
    return row is not None and not row["off"]


def rule_ref(key: AutomationKey, version: int) -> dict[str, Any]:
    """The rule that acted, as the log tells of it."""
    return {"automation": {"key": key, "version": version}}


async def list_automations(tx: Transaction) -> list[dict[str, Any]]:
    return [dict(row) for row in await tx.rows(_LIST)]


async def get_automation(tx: Transaction, key: AutomationKey) -> Row:
    row = await tx.row(_GET, key=key)
    if row is None:
        raise NotFound("there is no automation of this name")
    return row


async def change_automation(
    tx: Transaction, actor: Actor, key: AutomationKey, patch: AutomationPatch, if_match: str | None
) -> Row:
    """Merge patch. Acts from now on are those of the next version."""
    before = await AUTOMATIONS.locked(tx, (await get_automation(tx, key))["id"], if_match)
    values = patch.model_dump()
    if "settings" in values:
        values["settings"] = _settings(before["settings"], values["settings"])
    return await AUTOMATIONS.change(tx, actor, before, values)


def _settings(before: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    for name in asked:
        if name not in before:
            raise Invalid.at(f"/settings/{name}", "unexpected", "this automation has no such setting")
    of_many = {
        name: merged(f"/settings/{name}", before[name], asked[name])
        for name in ("introductions", "segment_choices")
        if name in asked
    }
    return {**before, **asked, **of_many}
