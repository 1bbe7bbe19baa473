"""Puts the story into an empty service, through its public API as anybody would."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.demo import story

_BATCH = 1_000
OFFICE = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


@dataclass(frozen=True, slots=True)
class Cast:
    """Whom the demonstration acts as. `agents` are agent ids and keys by external id."""

    admin_key: str
    agents: dict[str, tuple[str, str]]
    teams: dict[str, str]

    @property
    def agent_key(self) -> str:
        return self.agents[story.AGENT][1]

    @property
    def lead_key(self) -> str:
        return self.agents[story.LEAD][1]


async def post(http: httpx.AsyncClient, path: str, body: Any = None) -> Any:
    answer = await http.post(path, json=body)
    answer.raise_for_status()
    return answer.json()


async def set_up(http: httpx.AsyncClient, admin_key: str, tickets: int = story.TICKETS) -> Cast:
    """Everybody and everything of the story, with so many tickets behind it. Raises httpx.HTTPStatusError where the
    service refuses something."""
    teams = {key: (await post(http, "/v1/teams", {"key": key, "name": name}))["id"] for key, name in story.TEAMS}
    agents = {
        external_id: await _agent(http, external_id, name, teams[team]) for external_id, name, team in story.AGENTS
    }
    await _segments(http)
    for customer in story.customers():
        await _customer(http, customer)
    await _policies(http)
    for key, title, tag, body in story.ARTICLES:
        await post(http, "/v1/articles", {"key": key, "title": title, "body": body, "language": "en", "tags": [tag]})
    await post(http, "/v1/service-goals", {
        "key": "within-target", "name": "Nine of ten within 3 minutes", "statistic": "attainment",
        "target_seconds": 180, "target_percent": 90, "window": {"rolling_seconds": 86_400},
    })  # fmt: skip
    # Behind the service's clock by a little: nothing may lie in its future.
    await _import(http, list(story.history(datetime.now(UTC) - timedelta(seconds=2), tickets)))
    return Cast(admin_key, agents, teams)


async def _agent(http: httpx.AsyncClient, external_id: str, name: str, team_id: str) -> tuple[str, str]:
    made = await post(http, "/v1/agents", {"name": name, "external_id": external_id, "team_ids": [team_id]})
    role = "lead" if external_id == story.LEAD else "agent"
    key = await post(http, "/v1/api-keys", {"name": f"demo {name}", "role": role, "agent_id": made["id"]})
    return made["id"], key["key"]


async def _customer(http: httpx.AsyncClient, customer: dict[str, Any]) -> None:
    body = {name: value for name, value in customer.items() if name != "external_id"}
    answer = await http.put(f"/v1/customers/by-external-id/{customer['external_id']}", json=body)
    answer.raise_for_status()


async def _segments(http: httpx.AsyncClient) -> None:
    plan = "customer.attributes.plan"
    for position, (key, name, need, rule, self_service) in enumerate([
        ("pro", "Paying", "a person, at once", {"field": plan, "op": "eq", "value": "pro"}, False),
        ("self-service", "Likes to help themselves", "an article first",
         {"field": "customer.attributes.self_service", "op": "eq", "value": True}, True),
        ("nordic", "Nordic", "an answer in their day",
         {"field": "customer.region", "op": "in", "value": ["FI", "SE", "NO"]}, False),
    ]):  # fmt: skip
        body = {
            "key": key,
            "name": name,
            "need": need,
            "position": position * 10,
            "rule": rule,
            "self_service": self_service,
        }
        await post(http, "/v1/segments", body)


async def _policies(http: httpx.AsyncClient) -> None:
    """Two beside the one that every service begins with."""
    office = await post(http, "/v1/business-calendars", {
        "name": "Helsinki office", "timezone": "Europe/Helsinki", "holiday_region": "FI", "hours": OFFICE,
    })  # fmt: skip
    await post(http, "/v1/sla-policies", {
        "key": "paying", "name": "Paying: within a minute", "position": 10,
        "conditions": {"all": [{"field": "segment", "op": "eq", "value": "pro"}]},
        "targets": [{"metric": "first_response", "seconds": 60, "warn_at_percent": [70]},
                    {"metric": "next_response", "seconds": 300}],
    })  # fmt: skip
    await post(http, "/v1/sla-policies", {
        "key": "solved-in-a-day", "name": "Complaints and returns: solved within a working day", "position": 20,
        "calendar_id": office["id"],
        "conditions": {"any": [{"field": "ticket.type", "op": "in", "value": ["complaint", "return"]}]},
        "targets": [{"metric": "first_response", "seconds": 90, "warn_at_percent": [80]},
                    {"metric": "resolution", "seconds": 28_800, "hours": "business", "warn_at_percent": [75]}],
    })  # fmt: skip


async def _import(http: httpx.AsyncClient, tickets: list[dict[str, Any]]) -> None:
    for at in range(0, len(tickets), _BATCH):
        made = await post(http, "/v1/imports/tickets", {"tickets": tickets[at : at + _BATCH]})
        if made["rejected"]:
            refused = next(item["problem"] for item in made["items"] if item["problem"])
            raise RuntimeError(f"the import rejected {made['rejected']} tickets: {refused['detail']}")
