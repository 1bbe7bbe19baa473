"""What a simulation puts in place of what was in force: checked when it is sent, and built again by whoever replays."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select, union_all

from app.customers.tables import customers
from app.db import Query, Transaction
from app.errors import FieldError, Invalid, NotFound
from app.segments.rules import fields_read
from app.segments.tables import segments
from app.simulations.schemas import SimulatedException, SlaSimulationIn
from app.simulations.tables import DraftsRow
from app.sla import calendars, conditions, policies
from app.sla.conditions import SEGMENT, reads_customers
from app.sla.core.enums import Metric
from app.sla.core.policy import AppliesTo, Effect, Policy, Scope, SlaException
from app.sla.customer_context import CustomerContext
from app.tickets.tables import tickets

_ID_OF = {Scope.ticket: "ticket_id", Scope.customer: "customer_id", Scope.segment: "segment_id"}
_ids = any_(bindparam("ids", type_=ARRAY(Uuid)))
_KNOWN = Query(union_all(*(select(table.c.id).where(table.c.id == _ids) for table in (tickets, customers, segments))))


@dataclass(frozen=True, slots=True)
class Drafts:
    """Policies in the order in which they are tried."""

    policies: tuple[Policy, ...]
    exceptions: tuple[SlaException, ...]
    reads_customers: bool

    def reaching(self, ticket_id: UUID, context: CustomerContext | None) -> tuple[SlaException, ...]:
        return tuple(each for each in self.exceptions if _reaches(each, ticket_id, context))


def _reaches(each: SlaException, ticket_id: UUID, context: CustomerContext | None) -> bool:
    if each.scope is Scope.ticket:
        return each.of == ticket_id
    return each.scope is Scope.everything or (context is not None and context.covers(each))


async def checked(tx: Transaction, body: SlaSimulationIn) -> DraftsRow:
    """As they are stored. Raises Invalid."""
    given = body.model_dump(mode="json")
    _check_calendars(given["calendars"])
    drafted = {each["id"] for each in given["calendars"]}
    written = []
    for number, policy in enumerate(given["policies"]):
        where = f"/policies/{number}"
        policy = policies.as_written(policy)
        await _pointing(where, _check_policy(policy, conditions.check(tx, policy["conditions"])))
        written.append(policy | {"calendar_version": await _calendar_version(tx, policy, drafted, where)})
    await _check_exceptions(tx, body.exceptions)
    return {"policies": written, "calendars": given["calendars"], "exceptions": given["exceptions"]}


def _check_calendars(given: list[dict[str, Any]]) -> None:
    seen = set()
    for number, calendar in enumerate(given):
        calendars.build(calendar, f"/calendars/{number}")
        if calendar["id"] in seen:
            raise Invalid.at(f"/calendars/{number}/id", "duplicate", "each calendar once")
        seen.add(calendar["id"])


async def _check_policy(policy: Mapping[str, Any], conditions_: Awaitable[None]) -> None:
    await conditions_
    policies.check_targets(policy)


async def _pointing(where: str, check: Awaitable[None]) -> None:
    try:
        await check
    except Invalid as wrong:
        errors = tuple(FieldError(where + each.pointer, each.code, each.detail) for each in wrong.errors)
        raise Invalid(wrong.detail, errors=errors) from None


async def _calendar_version(tx: Transaction, policy: Mapping[str, Any], drafted: set[str], where: str) -> int | None:
    """Of a stored calendar the version of now, so that each part of the replay goes by the same one."""
    id_ = policy["calendar_id"]
    if id_ is None or id_ in drafted:
        return None
    try:
        row = await calendars.get_calendar(tx, UUID(id_))
    except NotFound:
        raise Invalid.at(
            f"{where}/calendar_id", "unknown", "there is no business calendar with this id, and none was sent"
        ) from None
    version: int = row["version"]
    return version


async def _check_exceptions(tx: Transaction, given: list[SimulatedException]) -> None:
    of = [_of(each, f"/exceptions/{number}") for number, each in enumerate(given)]
    known = {row["id"] for row in await tx.rows(_KNOWN, ids=[id_ for id_ in of if id_])} if any(of) else set()
    for number, (each, id_) in enumerate(zip(given, of, strict=True)):
        where = f"/exceptions/{number}"
        if id_ and id_ not in known:
            raise Invalid.at(f"{where}/{_ID_OF[each.scope]}", "unknown", "there is none with this id")
        if (each.effect in (Effect.extend, Effect.retarget)) != (each.seconds is not None):
            raise Invalid.at(f"{where}/seconds", "required", "extend and retarget need seconds, and nothing else does")
        if each.effect is Effect.freeze and each.expires_at is None:
            raise Invalid.at(f"{where}/expires_at", "required", "freeze needs an end")
        if each.expires_at and each.expires_at <= each.starts_at:
            raise Invalid.at(f"{where}/expires_at", "out_of_range", "after starts_at")


def _of(each: SimulatedException, where: str) -> UUID | None:
    given = {name for name in _ID_OF.values() if getattr(each, name)}
    wanted = _ID_OF.get(each.scope)
    if given != ({wanted} if wanted else set()):
        raise Invalid.at(f"{where}/scope", "unexpected", f"the scope {each.scope} takes {wanted or 'no id'}")
    found: UUID | None = getattr(each, wanted) if wanted else None
    return found


async def built(tx: Transaction, stored: DraftsRow) -> Drafts:
    """Raises NewerRelease."""
    drafted = {each["id"]: calendars.build(each) for each in stored["calendars"]}
    found = []
    for number, row in enumerate(stored["policies"]):
        calendar = drafted.get(row["calendar_id"])
        if row["calendar_version"]:
            calendar = await calendars.version(tx, (UUID(row["calendar_id"]), row["calendar_version"]))
        values = row | {"id": UUID(int=number + 1), "version": 1}
        found.append(policies.as_policy(values, calendar))
    rules = [policy.rule for policy in found]
    exceptions = tuple(_exception(number, each) for number, each in enumerate(stored["exceptions"]))
    reads = (
        any(map(reads_customers, rules))
        or any(SEGMENT in fields_read(rule) for rule in rules)
        or any(each.scope in (Scope.customer, Scope.segment) for each in exceptions)
    )
    # Of equal positions, in the order in which they were sent.
    return Drafts(tuple(sorted(found, key=lambda policy: policy.position)), exceptions, reads)


def _exception(number: int, each: Mapping[str, Any]) -> SlaException:
    scope = Scope(each["scope"])
    of = each[_ID_OF[scope]] if scope in _ID_OF else None
    return SlaException(
        UUID(int=number + 1),
        Effect(each["effect"]),
        frozenset(map(Metric, each["metrics"])),
        datetime.fromisoformat(each["starts_at"]),
        datetime.fromisoformat(each["expires_at"]) if each["expires_at"] else None,
        each["seconds"],
        scope,
        UUID(of) if of else None,
        AppliesTo(each["applies_to"]),
    )
