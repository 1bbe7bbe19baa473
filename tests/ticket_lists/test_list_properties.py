"""Whatever is asked for, following the cursors gives what a plain filter and sort over all tickets gives."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.auth.dependencies import Actor
from app.auth.oneself import filter_value
from app.auth.roles import Role
from app.db import Database
from app.ticket_lists.clauses import OWN_SOURCES, SOURCES
from app.ticket_lists.listing import OwnTickets, Tickets
from app.ticket_lists.schemas import TicketFilter
from app.web.bounded_listing import ScanLimits
from tests.support.desk import Body
from tests.support.world import World

_COUNT = 300
_START = datetime(2026, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_STATUSES = ["new", "open", "pending", "on_hold", "resolved", "closed"]
_PRIORITIES = ["urgent", "high", "normal", "low"]
_PLAIN = [
    "status", "priority", "type", "channel", "customer_id", "organization_id", "assignee_id", "team_id", "product",
    "segment", "external_id",
]  # fmt: skip
_TAGS = ["red", "Blue", "GREEN"]


@dataclass(frozen=True, slots=True)
class Pile:
    """Random tickets, as rows and as what is true of them."""

    world: World
    tickets: list[Body]
    values: dict[str, list[Any]]


def _ticket(chance: random.Random, n: int, ids: dict[str, list[Any]]) -> Body:
    created = _START + timedelta(seconds=chance.randrange(60))
    due = chance.choice([None, None, created + timedelta(days=chance.randrange(-3, 4), seconds=chance.randrange(5))])
    return {
        "id": UUID(int=chance.getrandbits(128)), "status": chance.choice(_STATUSES),
        "priority": chance.choice(_PRIORITIES), "type": chance.choice(["question", "task"]),
        "channel": chance.choice(["web", "email", "phone"]),
        **{name: chance.choice(ids[name]) for name in ("customer_id", "organization_id", "assignee_id", "team_id")},
        "product": chance.choice(["p", "q", None]), "segment": chance.choice(["s", "t", None]),
        "external_id": f"x{n}" if n % 3 else None,
        "tags": chance.sample(_TAGS, chance.randrange(3)), "created_at": created,
        "updated_at": created + timedelta(seconds=chance.randrange(30)), "due_at": due,
        "waiting_since": chance.choice([None, created]),
        "needs_human": chance.random() < 0.2, "followers": chance.sample(ids["follower_id"], chance.randrange(3)),
        "words": chance.sample(["apple", "pear", "plum"], chance.randrange(4)),
        "sla": chance.choice(["", "at_risk", "breached", "running", "late"]),
    }  # fmt: skip


@pytest.fixture(scope="module")
async def pile(world: World) -> Pile:
    chance = random.Random(7)
    agents = [UUID(await world.add_agent()) for _ in range(4)]
    team = {"name": "T"}
    ids: dict[str, list[Any]] = {
        "customer_id": [UUID(await world.add_customer()) for _ in range(3)],
        "organization_id": [UUID((await world.made("/v1/organizations", {"name": "O"}))["id"]) for _ in range(2)],
        "assignee_id": [*agents[:2], None],
        "team_id": [UUID((await world.made("/v1/teams", {"key": uuid4().hex, **team}))["id"]) for _ in range(2)],
        "follower_id": agents,
    }
    ids["organization_id"].append(None)
    await world.sql.execute("TRUNCATE tickets CASCADE")
    tickets = [_ticket(chance, n, ids) for n in range(_COUNT)]
    for ticket in tickets:
        await _write(world, ticket)
    values = {name: sorted({t[name] for t in tickets if t[name] is not None}, key=str) for name in _PLAIN}
    for name in ("organization_id", "assignee_id", "team_id", "product", "segment", "external_id"):
        values[name].append("none")
    values |= {"tag": [*_TAGS, "none"], "follower_id": agents}
    for name in ("tag", "external_id"):
        values[name] += [value.upper() for value in values[name] if value != "none"]
    return Pile(world, tickets, values)


async def _write(world: World, t: Body) -> None:
    names = [*_PLAIN, "id", "tags", "created_at", "updated_at", "due_at", "waiting_since", "needs_human"]
    places = ", ".join(f"${n + 1}" for n in range(len(names)))
    await world.sql.execute(
        f"INSERT INTO tickets (subject, custom_fields, {', '.join(names)}) VALUES ('S', '{{}}', {places})",
        *(t[name] for name in names),
    )
    for agent in t["followers"]:
        await world.sql.execute("INSERT INTO ticket_followers (ticket_id, agent_id) VALUES ($1, $2)", t["id"], agent)
    words = " ".join(t["words"])
    await world.sql.execute(
        "INSERT INTO ticket_search (ticket_id, all_words, public_words)"
        " VALUES ($1, to_tsvector('simple', $2), to_tsvector('simple', $2))", t["id"], words,
    )  # fmt: skip
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    clock = {
        "at_risk": (now + hour, now - hour, None), "breached": (now - hour, now - 2 * hour, None),
        "running": (now + 2 * hour, now + hour, None), "late": (now - 2 * hour, now - 3 * hour, now - hour),
    }.get(t["sla"])  # fmt: skip
    if clock:
        due, warning, ended = clock
        await world.sql.execute(
            "INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, target_seconds, warn_at_percent,"
            " bot_counts, due_at, warnings, stopped_at, ended_at)"
            " VALUES ($1, $1, 'first_response', 1, $2, 90, '{80}', false, $3, $4, $5, $5)",
            t["id"], _START, due, [warning], ended,
        )  # fmt: skip
        if ended is None and t["due_at"] is None:
            # As the service keeps it: a running clock's deadline is its ticket's.
            t["due_at"] = due
            await world.sql.execute("UPDATE tickets SET due_at = $2 WHERE id = $1", t["id"], due)


def _urgency(t: Body) -> int:
    return (4 if t["status"] in ("resolved", "closed") else 0) + _PRIORITIES.index(t["priority"])


_KEYS: dict[str, tuple[Callable[[Body], Any], bool]] = {
    "created_at": (lambda t: (t["created_at"], t["id"]), False),
    "-created_at": (lambda t: (t["created_at"], t["id"]), True),
    "updated_at": (lambda t: (t["updated_at"], t["id"]), False),
    "-updated_at": (lambda t: (t["updated_at"], t["id"]), True),
    "due_at": (lambda t: (t["due_at"] or _LATEST, t["id"]), False),
    "-due_at": (lambda t: (t["due_at"] or _LATEST, t["id"]), True),
    "waiting_since": (lambda t: (t["waiting_since"] or _LATEST, t["id"]), False),
    "priority": (lambda t: (_urgency(t), t["created_at"], t["id"]), False),
}
_INSTANTS = st.integers(0, 90).map(lambda s: _START + timedelta(seconds=s))
_OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "created_after": _INSTANTS, "created_before": _INSTANTS, "updated_after": _INSTANTS, "needs_human": st.booleans(),
    "sla": st.sampled_from([["at_risk"], ["breached"], ["at_risk", "breached"]]),
    "q": st.sampled_from(["apple", "pear plum", "apple or plum", "-apple", "pear -plum", "app"]),
}  # fmt: skip
_SAID: dict[str, Callable[[set[str]], bool]] = {
    "apple": lambda w: "apple" in w, "pear plum": lambda w: {"pear", "plum"} <= w,
    "apple or plum": lambda w: bool({"apple", "plum"} & w), "-apple": lambda w: "apple" not in w,
    "pear -plum": lambda w: "pear" in w and "plum" not in w, "app": lambda w: "apple" in w,
}  # fmt: skip


def _is_any(name: str, t: Body, value: Any) -> bool:
    return t[name] in value or (t[name] is None and "none" in value)


_HOLDS: dict[str, Callable[[Body, Any], bool]] = {
    **{name: partial(_is_any, name) for name in _PLAIN},
    "external_id": lambda t, value: (t["external_id"] or "none").lower() in map(str.lower, value),
    "tag": lambda t, value: bool(set(map(str.lower, value)) & set(map(str.lower, t["tags"] or ["none"]))),
    "follower_id": lambda t, value: bool(set(value) & set(t["followers"])),
    "created_after": lambda t, value: t["created_at"] > value,
    "created_before": lambda t, value: t["created_at"] < value,
    "updated_after": lambda t, value: t["updated_at"] > value,
    "needs_human": lambda t, value: t["needs_human"] is value,
    "sla": lambda t, value: ("breached" if t["sla"] == "late" else t["sla"]) in value,
    "q": lambda t, value: _SAID[value](set(t["words"])),
}


def _asked(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def _followed(db: Database, listing: Tickets, where: Body, sort: str, limit: int) -> list[UUID]:
    found: list[UUID] = []
    after: Any = None
    for _ in range(_COUNT + 10):
        async with db.transaction() as tx:
            rows, after = await listing.fetch(tx, where, sort, limit, after)
        assert len(rows) <= limit
        found += [row["id"] for row in rows]
        if after is None:
            return found
    raise AssertionError("the pages do not end")


NOBODY = Actor(UUID(int=0), Role.service, frozenset())
# Short stretches, so that everything that happens to a long list happens to this one.
_REACHES = [ScanLimits(), ScanLimits(20, 45, 30), ScanLimits(3, 7, 0), ScanLimits(1, 1, 1_000)]
_LISTINGS = [Tickets("tickets", SOURCES, reach) for reach in _REACHES]
_OWN = [OwnTickets("own tickets", OWN_SOURCES, reach) for reach in _REACHES]


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_the_cursors_lead_through_what_a_plain_filter_and_sort_give(pile: Pile, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted([*pile.values, *_OTHERS])), max_size=4, unique=True))
    filters = {
        name: data.draw(
            _OTHERS[name] if name in _OTHERS else st.lists(st.sampled_from(pile.values[name]), min_size=1, max_size=3)
        )
        for name in names
    }
    own = data.draw(st.booleans())
    if own:
        filters["customer_id"] = [data.draw(st.sampled_from(pile.values["customer_id"]))]
    listing = data.draw(st.sampled_from(_OWN if own else _LISTINGS))
    sort, limit = data.draw(st.sampled_from(sorted(_KEYS))), data.draw(st.sampled_from([1, 3, 50, 200]))
    key, descending = _KEYS[sort]
    found = [t for t in pile.tickets if all(_HOLDS[name](t, value) for name, value in filters.items())]
    asked = TicketFilter(**{name: _asked(value) for name, value in filters.items()})
    where = {name: filter_value(NOBODY, name, getattr(asked, name)) for name in TicketFilter.model_fields}
    db: Database = pile.world.app.state.db
    expected = [t["id"] for t in sorted(found, key=key, reverse=descending)]
    assert await _followed(db, listing, where, sort, limit) == expected
    async with db.transaction() as tx:
        assert await listing.estimated_count(tx, where) == len(found)
