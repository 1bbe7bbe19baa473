"""Agents and the teams they are in. An agent who leaves is made inactive: what they answered stays answered."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.agents.schemas import AgentIn, AgentPatch, TeamIn, TeamPatch
from app.agents.tables import agents, team_members, teams
from app.auth.dependencies import Actor
from app.auth.tables import api_keys
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events import log
from app.events.resource import Resource
from app.web.paging import Listing, Order
from app.web.schemas import fold

# In a fixed order: a strong ETag stands for the very bytes.
_sorted_team_ids = func.array_agg(aggregate_order_by(team_members.c.team_id, team_members.c.team_id))
_team_ids = (
    select(func.coalesce(_sorted_team_ids, bindparam("no_teams", [], type_=ARRAY(Uuid))))
    .where(team_members.c.agent_id == agents.c.id)
    .scalar_subquery()
    .label("team_ids")
)
AGENTS = Resource(agents, "agent", ["external_id", "name", "email", "active"], beside=[_team_ids])
TEAMS = Resource(teams, "team", ["key", "name"], derived=["key_folded"])
AGENT_LISTING = Listing("agents", AGENTS.select, {}, {"created_at": Order((agents.c.created_at, agents.c.id))})
TEAM_LISTING = Listing("teams", TEAMS.select, {}, {"created_at": Order((teams.c.created_at, teams.c.id))})

_JOIN = Query(insert(team_members), ["agent_id", "team_id"])
_LEAVE = Query(
    delete(team_members).where(
        team_members.c.agent_id == bindparam("agent_id"),
        team_members.c.team_id == any_(bindparam("team_ids", type_=ARRAY(Uuid))),
    )
)
_EXISTING = Query(select(teams.c.id).where(teams.c.id == any_(bindparam("team_ids", type_=ARRAY(Uuid)))))
_TEAMS_OF = Query(select(team_members.c.team_id).where(team_members.c.agent_id == bindparam("agent_id")))
_NEXT_VERSION = Query(
    update(agents)
    .where(agents.c.id == bindparam("the_agent"))
    .values(version=agents.c.version + 1, updated_at=func.clock_timestamp())
)
_REVOKE_KEYS = Query(
    update(api_keys)
    .where(api_keys.c.agent_id == bindparam("the_agent"), api_keys.c.revoked_at.is_(None))
    .returning(api_keys.c.id),
    ["revoked_at"],
)


async def create_agent(tx: Transaction, actor: Actor, body: AgentIn) -> Row:
    await _check_teams(tx, body.team_ids)
    row = await AGENTS.create(tx, actor, body.model_dump(exclude={"team_ids"}))
    _change_teams(tx, actor, row, set(), set(body.team_ids))
    return await _written(tx, row["id"])


async def change_agent(tx: Transaction, actor: Actor, id: UUID, patch: AgentPatch, if_match: str | None) -> Row:
    """An agent who becomes inactive loses their keys, whichever way they become it."""
    before = await AGENTS.locked(tx, id, if_match)
    values = patch.model_dump()
    asked = values.pop("team_ids", None)
    after = await AGENTS.change(tx, actor, before, values)
    if not after["active"]:
        await _revoke_keys(tx, actor, before)
    if asked is not None:
        await _check_teams(tx, asked)
        had = {row["team_id"] for row in await tx.rows(_TEAMS_OF, agent_id=id)}
        if had != set(asked) and after["version"] == before["version"]:
            # The teams are part of what is shown, so they are part of what the ETag stands for.
            tx.write(_NEXT_VERSION, the_agent=id)
        _change_teams(tx, actor, before, had - set(asked), set(asked) - had)
    return await _written(tx, id)


async def deactivate_agent(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    """The agent's keys stop working within 5 seconds; tickets and messages stay as they are."""
    await change_agent(tx, actor, id, AgentPatch(active=False), if_match)


async def _revoke_keys(tx: Transaction, actor: Actor, agent: Row) -> None:
    for key in await tx.locked_rows(_REVOKE_KEYS, the_agent=agent["id"], revoked_at=agent["now"]):
        log.record(tx, log.actor_ref(actor), "api_key.revoked", key["id"], agent["now"], {}, internal=True)


async def create_team(tx: Transaction, actor: Actor, body: TeamIn) -> Row:
    return await TEAMS.create(tx, actor, {**body.model_dump(), "key_folded": fold(body.key)})


async def change_team(tx: Transaction, actor: Actor, id: UUID, patch: TeamPatch, if_match: str | None) -> Row:
    before = await TEAMS.locked(tx, id, if_match)
    values = patch.model_dump()
    if "key" in values:
        values["key_folded"] = fold(values["key"])
    return await TEAMS.change(tx, actor, before, values)


async def _check_teams(tx: Transaction, team_ids: Sequence[UUID]) -> None:
    found = {row["id"] for row in await tx.rows(_EXISTING, team_ids=list(team_ids))} if team_ids else set()
    for index, team_id in enumerate(team_ids):
        if team_id not in found:
            raise Invalid.at(f"/team_ids/{index}", "unknown", "there is no team with this id")


def _change_teams(tx: Transaction, actor: Actor, agent: Row, leaves: set[UUID], joins: set[UUID]) -> None:
    if leaves:
        tx.write(_LEAVE, agent_id=agent["id"], team_ids=list(leaves))
    for team_id in sorted(joins):
        tx.write(_JOIN, agent_id=agent["id"], team_id=team_id)
    if leaves or joins:
        data = {"left": sorted(leaves), "joined": sorted(joins)}
        log.record(tx, log.actor_ref(actor), "agent.teams_changed", agent["id"], agent["now"], data)


async def _written(tx: Transaction, id: UUID) -> Row:
    await tx.flush()
    return await AGENTS.get(tx, id)
