from pydantic import Field

from app.agents.schemas import AgentOut, TeamOut
from app.auth.roles import Role
from app.customers.schemas import CustomerOut
from app.sla.core.enums import AuthorKind
from app.web.schemas import Out


class LimitsOut(Out):
    """What one caller may take of a process; the header RateLimit says what is left."""

    requests_per_minute: int
    requests_at_once: int


class MeOut(Out):
    """Who calls: the key's or token's role and scopes, and for whom it stands."""

    kind: AuthorKind = Field(description="Of the author of what they write, unless they name another.")
    role: Role
    scopes: list[str]
    limits: LimitsOut
    agent: AgentOut | None = Field(description="The agent that they are.")
    team: TeamOut | None = Field(description="The agent's team where they are in one alone; `agent.team_ids` has all.")
    customer: CustomerOut | None = Field(description="The customer that they are, as customers see themselves.")
