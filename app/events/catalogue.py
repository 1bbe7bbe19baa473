"""Every type of event there is, what of each leaves the service, and how a row of the log looks outside.

The log holds what its own readers need: values before and after, what clocks are recomputed from. Outside, an event
is a CloudEvent (attributes of lower-case letters and digits with plain values), and `data` is what the payload of its
type names and nothing else. What the catalogue does not know cannot be written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Union
from uuid import UUID

from pydantic import MISSING, Field, create_model
from typing_extensions import TypeAliasType

from app.auth.dependencies import Actor
from app.db import Values
from app.errors import Forbidden
from app.events import payloads as p
from app.events.feed import Wanted, position_of
from app.instants import with_z
from app.web.schemas import Out

SOURCE = "/ninety"
SPECVERSION = "1.0"


class ActorKind(StrEnum):
    customer = "customer"
    agent = "agent"
    bot = "bot"
    system = "system"


DATA_VERSION = "Of the payload: counted up where one breaks with what was."


class EventBase(Out):
    """What every event says, whatever its type."""

    specversion: Literal["1.0"]
    id: UUID = Field(description="The same wherever and however often the event is delivered.")
    source: str
    dataversion: int = Field(description=DATA_VERSION)
    time: datetime = Field(description="When it happened.")
    recordedat: datetime = Field(description="When it was written: later, where it was noticed or imported.")
    subject: UUID = Field(description="What it is about: the ticket, message, clock, customer …")
    actorkind: ActorKind
    actorid: UUID | MISSING = Field(default=MISSING, description="Absent where no person acted.")
    ticketid: UUID | MISSING = Field(default=MISSING, description="Absent where the event is about no ticket.")
    ticketversion: int | MISSING = Field(
        default=MISSING,
        description="The version that the event made of the ticket, if any; absent to customers.",
    )
    imported: bool = Field(description="Whether it is history that was imported; no stream and no webhook sends it.")
    position: str = Field(
        description="Its place in the feed, for `after` and `Last-Event-ID`. Sorts, as text, in the order of the feed."
    )


@dataclass(frozen=True, slots=True)
class EventType:
    """`told_to_customers`: of tickets that they see, where the event is not internal. `staff_only` are fields that are
    null for customers. `scope` is what a reader needs besides `events:read`."""

    name: str
    payload: type[Out]
    version: int = 1
    told_to_customers: bool = False
    staff_only: frozenset[str] = frozenset()
    scope: str | None = None


def _each(noun: str, verbs: str, payload: type[Out], **more: Any) -> list[EventType]:
    return [EventType(f"{noun}.{verb}", payload, **more) for verb in verbs.split()]


_TYPES = [
    *_each("ticket", "created", p.TicketCreated, told_to_customers=True,
           staff_only=frozenset({"policy_id", "policy_version"})),
    *_each("ticket", "status_changed", p.StatusChanged, told_to_customers=True),
    *_each("ticket", "updated", p.TicketUpdated),
    *_each("ticket", "handed_off confirmed", p.Nothing, told_to_customers=True),
    *_each("ticket", "outlook_worsened", p.OutlookWorsened, told_to_customers=True),
    *_each("ticket", "overload_offered", p.OverloadOffered, told_to_customers=True, staff_only=frozenset({"goal_id"})),
    *_each("ticket", "overload_chosen", p.OverloadChosen, told_to_customers=True),
    *_each("ticket", "solved_by_article", p.SolvedByArticle, told_to_customers=True),
    *_each("ticket", "followed unfollowed erased", p.Nothing),
    *_each("ticket", "participant_added participant_removed", p.Nothing, told_to_customers=True),
    *_each("ticket", "problem_solved", p.Reapplied),
    *_each("ticket", "merged", p.TicketMerged),
    *_each("ticket", "absorbed", p.TicketAbsorbed),
    *_each("ticket", "unmerged", p.TicketUnmerged),
    *_each("ticket", "released", p.TicketReleased),
    *_each("ticket", "marked_spam unmarked_spam", p.Nothing),
    *_each("ticket", "reminder_due", p.Nothing),
    *_each("ticket", "snoozed", p.TicketSnoozed),
    *_each("ticket", "woken", p.TicketWoken),
    *_each("ticket", "claimed", p.TicketClaimed),
    *_each("ticket", "claim_released claim_expired", p.ClaimEnded),
    *_each("ticket", "linked unlinked", p.TicketLinked),
    *_each("message", "created", p.MessageCreated, told_to_customers=True),
    *_each("message", "edited deleted", p.MessageReplaced, told_to_customers=True),
    *_each("attachment", "added published deleted", p.AttachmentChanged, told_to_customers=True),
    *_each("promise", "made", p.PromiseMade, told_to_customers=True),
    *_each("promise", "kept withdrawn", p.PromiseEnded, told_to_customers=True),
    *_each("satisfaction", "given", p.SatisfactionGiven),
    *_each("sla", "at_risk breached", p.ClockAlert),
    *_each("sla", "met cancelled", p.ClockEnded),
    *_each("sla", "policy_applied", p.PolicyApplied),
    *_each("sla", "exceptions_applied", p.ExceptionsApplied),
    *_each("sla_exception", "granted", p.ExceptionGranted),
    *_each("sla_exception", "started revoked expired", p.Nothing),
    *_each("sla_policy", "created updated archived", p.ChangedVersion),
    *_each("sla_policy", "reapplied", p.Reapplied),
    *_each("business_calendar", "created updated archived", p.ChangedVersion),
    *_each("goal", "at_risk missed recovered", p.GoalJudged),
    *_each("goal", "unfair", p.GoalUnfair),
    *_each("service_goal", "created updated deleted", p.FieldsChanged),
    *_each("segment", "created updated archived", p.FieldsChanged),
    *_each("segment", "member_added member_removed", p.MembershipChanged),
    *_each("segment_override", "created deleted expired", p.OverrideChanged),
    *_each("article", "created updated archived", p.FieldsChanged),
    *_each("automation", "updated", p.FieldsChanged),
    *_each("customer", "created updated", p.FieldsChanged),
    *_each("customer", "merged unmerged", p.CustomersMerged),
    *_each("customer", "erased deleted", p.Nothing),
    *_each("organization", "created updated deleted", p.FieldsChanged),
    *_each("agent", "created updated", p.FieldsChanged),
    *_each("agent", "teams_changed", p.TeamsChanged),
    *_each("agent", "availability_changed", p.AvailabilityChanged),
    *_each("team", "created updated deleted", p.FieldsChanged),
    *_each("view", "created updated deleted", p.FieldsChanged),
    *_each("macro", "created updated deleted", p.FieldsChanged),
    *_each("greeting", "created updated deleted", p.FieldsChanged),
    *_each("custom_field", "created updated archived", p.FieldsChanged),
    *_each("api_key", "created", p.KeyCreated, scope="keys:read"),
    *_each("api_key", "updated", p.FieldsChanged, scope="keys:read"),
    *_each("api_key", "revoked", p.Nothing, scope="keys:read"),
    *_each("webhook", "created updated deleted", p.FieldsChanged, scope="webhooks:read"),
    *_each("webhook", "secret_rotated redelivered", p.Nothing, scope="webhooks:read"),
]  # fmt: skip
# The fields of each payload that are instants.
_INSTANTS = {
    each.payload: [
        name for name, field in each.payload.model_fields.items() if field.annotation in (datetime, datetime | None)
    ]
    for each in _TYPES
}
CATALOGUE: Mapping[str, EventType] = {each.name: each for each in _TYPES}
TOLD_TO_CUSTOMERS = tuple(each.name for each in _TYPES if each.told_to_customers)


def known(type_: str) -> str:
    """The type, which must be in the catalogue: what nobody described is not written."""
    assert type_ in CATALOGUE, f"{type_} is not in the catalogue of events"
    return type_


def outward(row: Values, *, for_customer: bool = False) -> dict[str, Any]:
    """A row of the log as others see it; instants are left to the encoder. The caller has decided that the reader may
    know of it at all: see `seen_by`."""
    type_ = CATALOGUE.get(row["type"])
    attributes = {
        "specversion": SPECVERSION,
        "id": event_id(row["id"], row["recorded_at"]),
        "source": SOURCE,
        "type": row["type"],
        "dataversion": type_.version if type_ else 1,
        "time": row["occurred_at"],
        "recordedat": row["recorded_at"],
        "subject": str(row["subject_id"]),
        "actorkind": row["actor_kind"],
        "actorid": _text(row["actor_id"]),
        "ticketid": _text(row["ticket_id"]),
        # Counts what customers see nothing of.
        "ticketversion": None if for_customer else row["ticket_version"],
        "imported": row["imported"],
        "position": str(position_of(row)),
        "data": _payload(type_, row["data"], for_customer) if type_ else {},
    }
    # CloudEvents knows no null attribute: its SDKs refuse one.
    return {name: value for name, value in attributes.items() if value is not None}


def seen_by(actor: Actor, types: Sequence[str] | None = None, ticket_id: UUID | None = None) -> Wanted:
    """What this reader may know of, and of that what they want. Customers are told of tickets that they see, and of
    nothing internal; types that say more than the log does need their own scope."""
    seen = [each.name for each in _TYPES if _may_see(actor, each)]
    if types is not None:
        seen = [name for name in seen if name in types]
    if actor.is_customer and actor.customer_id is None:
        raise Forbidden("this caller stands for no customer")
    everything = len(seen) == len(_TYPES)
    return Wanted(None if everything else tuple(seen), ticket_id, actor.customer_id if actor.is_customer else None)


def _may_see(actor: Actor, about: EventType) -> bool:
    if actor.is_customer:
        return about.told_to_customers
    return about.scope is None or about.scope in actor.scopes


def event_id(id: int, recorded_at: datetime) -> str:
    """A UUIDv7 of the instant and the number in the log: a database that was restored from a dump counts on from an
    older number, and yet gives no id twice."""
    microseconds = int(recorded_at.timestamp() * 1_000_000)
    milliseconds, rest = divmod(microseconds, 1000)
    digits = f"{milliseconds:012x}7{rest:03x}{(0b10 << 62) | _mixed(id):016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_62_BITS = (1 << 62) - 1


def _mixed(number: int) -> int:
    """Another number of 62 bits for each: neighbours in the log have nothing in common, so that an id does not tell how
    much lies between two events (the finalizer of splitmix64, narrowed)."""
    number = (number ^ (number >> 30)) * 0x3F58476D1CE4E5B9 & _62_BITS
    number = (number ^ (number >> 27)) * 0x14D049BB133111EB & _62_BITS
    return number ^ (number >> 31)


def _text(id: UUID | None) -> str | None:
    # asyncpg's UUIDs are a subclass, which the encoder does not know.
    return None if id is None else str(id)


def _payload(type_: EventType, data: Mapping[str, Any], for_customer: bool) -> dict[str, Any]:
    special = _SPECIAL.get(type_.payload)
    if special:
        data = special(data)
    payload = {name: data.get(name) for name in type_.payload.model_fields}
    for name in _INSTANTS[type_.payload]:
        payload[name] = with_z(payload[name])
    if for_customer:
        payload |= dict.fromkeys(type_.staff_only)
    return payload


def _changed(data: Mapping[str, Any]) -> dict[str, Any]:
    about = data.get("changes") or data.get("after") or data.get("before") or {}
    return {"version": data.get("version"), "changed": sorted(about)}


def _granted(after: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is left of it where its customer was erased."""
    usual = {"kind": "sla", "scope": "ticket", "applies_to": "running"} if after else {}
    return {"automations": [], "metrics": [], **usual, **after}


def _ids(things: Iterable[Mapping[str, Any]] | None) -> list[Any]:
    return [each["id"] for each in things or ()]


def _values(changes: Mapping[str, Any], when: str) -> dict[str, Any]:
    return {name: (changes.get(name) or {}).get(when) for name in p.TicketValues.model_fields}


def _ticket_updated(data: Mapping[str, Any]) -> dict[str, Any]:
    changes = data.get("changes") or {}
    return {"changed": sorted(changes), "before": _values(changes, "before"), "after": _values(changes, "after")}


# Where the log says it in other words than the payload.
_SPECIAL: Mapping[type[Out], Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    p.FieldsChanged: _changed,
    p.ChangedVersion: _changed,
    p.TicketUpdated: _ticket_updated,
    p.StatusChanged: lambda data: {**data, **data["changes"]["status"]},
    p.TicketAbsorbed: lambda data: {**data, "source_id": data.get("from")},
    p.TicketUnmerged: lambda data: {**data, "target_id": data.get("from")},
    p.TicketReleased: lambda data: {**data, "source_id": data.get("from")},
    p.MessageCreated: lambda data: {"attachment_ids": [], "article_ids": [], **data},
    p.ExceptionGranted: lambda data: _granted(data["after"]),
    p.ExceptionsApplied: lambda data: {**data, "exception_ids": _ids(data["applied"])},
    p.OverrideChanged: lambda data: {**data, **(data.get("after") or data.get("before") or {})},
    p.KeyCreated: lambda data: data.get("after") or {},
}


def _event_model(payload: type[Out], types: list[EventType]) -> type[EventBase]:
    """The envelope with the payload of these types: one schema for all types that tell the same."""
    return create_model(
        f"{payload.__name__}Event",
        __base__=EventBase,
        __doc__=payload.__doc__,
        type=(_one_of(each.name for each in types), ...),
        data=(payload, ...),
    )


def _one_of(words: Iterable[object]) -> Any:
    return Literal[tuple(words)]


_BY_PAYLOAD: dict[type[Out], list[EventType]] = {}
for _type in _TYPES:
    _BY_PAYLOAD.setdefault(_type.payload, []).append(_type)
EventOfAnyType = Union[tuple(_event_model(payload, types) for payload, types in _BY_PAYLOAD.items())]  # type: ignore[valid-type]  # noqa: UP007
AuditEntry = TypeAliasType("AuditEntry", Annotated[EventOfAnyType, Field(discriminator="type")])  # type: ignore[valid-type]
# The types by name, for filters and subscriptions.
EventName = StrEnum("EventName", {name.replace(".", "_"): name for name in CATALOGUE})  # type: ignore[misc]
EventName.__doc__ = "What may happen. More types may come: skip those you do not know."
