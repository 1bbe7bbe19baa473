"""Who may do what, as data. Pure."""

from enum import StrEnum


class Role(StrEnum):
    customer = "customer"
    agent = "agent"
    lead = "lead"
    admin = "admin"
    service = "service"


_NOUNS = (
    "tickets", "customers", "segments", "sla", "goals", "reports", "events", "webhooks", "keys", "agents", "imports",
)  # fmt: skip
SCOPES = frozenset(f"{noun}:{verb}" for noun in _NOUNS for verb in ("read", "write")) | {"service_records:read"}

_CUSTOMER = frozenset({"tickets:read", "tickets:write", "events:read"})
_AGENT = _CUSTOMER | {
    "customers:read", "customers:write", "segments:read", "sla:read", "goals:read", "reports:read", "agents:read",
    "service_records:read",
}  # fmt: skip
# A lead grants exceptions to the SLA, which is why it may write there; policies and calendars are the admin's.
_LEAD = _AGENT | {"segments:write", "goals:write", "sla:write"}

_OF_ROLE = {Role.customer: _CUSTOMER, Role.agent: _AGENT, Role.lead: _LEAD, Role.admin: SCOPES, Role.service: SCOPES}


def granted(role: Role, asked: list[str] | None) -> frozenset[str]:
    """The scopes of a key. A key may ask for less than its role has, never for more; a service has what it asks for."""
    if asked is None:
        return frozenset() if role is Role.service else _OF_ROLE[role]
    return _OF_ROLE[role] & frozenset(asked)
