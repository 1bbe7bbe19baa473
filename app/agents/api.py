from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.agents import service
from app.agents.schemas import AgentIn, AgentOut, AgentPage, AgentPatch, TeamIn, TeamOut, TeamPage, TeamPatch
from app.auth.dependencies import Actor, may
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import ExternalId, Key

agent_routes = router("/v1/agents", "agents")
team_routes = router("/v1/teams", "agents")
Reader = Annotated[Actor, may("agents:read")]
Writer = Annotated[Actor, may("agents:write")]


@agent_routes.get("", response_model=AgentPage, summary="List agents")
async def list_agents(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In the order they were added."""
    return await page(request, response, tx, service.AGENT_LISTING, query, {}, "created_at")


@agent_routes.post("", status_code=201, response_model=AgentOut, summary="Add an agent")
async def create_agent(body: AgentIn, response: Response, tx: Tx, actor: Writer) -> Any:
    row = await service.create_agent(tx, actor, body)
    response.headers["Location"] = f"/v1/agents/{row['id']}"
    return tag(response, row)


@agent_routes.get(
    "/by-external-id/{external_id:path}", response_model=AgentOut, summary="Read an agent by its external id"
)
async def get_agent_by_external_id(
    external_id: Annotated[ExternalId, Path()], response: Response, tx: Tx, actor: Reader
) -> Any:
    """Percent-encoded, slashes and all."""
    return tag(response, await service.AGENTS.get_called(tx, external_id))


@agent_routes.get("/{agent_id}", response_model=AgentOut, summary="Read an agent")
async def get_agent(agent_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.AGENTS.get(tx, agent_id))


@agent_routes.patch("/{agent_id}", response_model=AgentOut, summary="Change an agent")
async def update_agent(
    agent_id: UUID, patch: AgentPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch; `team_ids` replaces all memberships."""
    return tag(response, await service.change_agent(tx, actor, agent_id, patch, if_match))


@agent_routes.delete("/{agent_id}", status_code=204, summary="Deactivate an agent")
async def delete_agent(agent_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """The agent becomes inactive and their keys stop working; what they answered stays as it is."""
    await service.deactivate_agent(tx, actor, agent_id, if_match)


@team_routes.get("", response_model=TeamPage, summary="List teams")
async def list_teams(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In the order they were added."""
    return await page(request, response, tx, service.TEAM_LISTING, query, {}, "created_at")


@team_routes.post("", status_code=201, response_model=TeamOut, summary="Add a team")
async def create_team(body: TeamIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """A team's key is unique, whatever its case, width or Unicode form."""
    row = await service.create_team(tx, actor, body)
    response.headers["Location"] = f"/v1/teams/{row['id']}"
    return tag(response, row)


@team_routes.get("/by-key/{key:path}", response_model=TeamOut, summary="Read a team by its key")
async def get_team_by_key(key: Annotated[Key, Path()], response: Response, tx: Tx, actor: Reader) -> Any:
    """Percent-encoded, slashes and all."""
    return tag(response, await service.TEAMS.get_called(tx, key))


@team_routes.get("/{team_id}", response_model=TeamOut, summary="Read a team")
async def get_team(team_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.TEAMS.get(tx, team_id))


@team_routes.patch("/{team_id}", response_model=TeamOut, summary="Change a team")
async def update_team(
    team_id: UUID, patch: TeamPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch."""
    return tag(response, await service.change_team(tx, actor, team_id, patch, if_match))


@team_routes.delete("/{team_id}", status_code=204, summary="Remove a team")
async def delete_team(team_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """Refused while agents or tickets belong to it."""
    await service.TEAMS.delete(tx, actor, team_id, if_match)
