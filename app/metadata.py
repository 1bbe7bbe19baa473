"""Every table there is, for Alembic and for tests."""

from app.agents import tables as agents
from app.auth import tables as auth
from app.custom_fields import tables as custom_fields
from app.customers import tables as customers
from app.db import metadata
from app.events import tables as events
from app.goals import tables as goals
from app.operations import tables as operations
from app.segments import tables as segments
from app.sla import tables as sla
from app.tickets import tables as tickets
from app.tickets.self_service import tables as self_service
from app.web import tables as web
from app.webhooks import tables as webhooks

__all__ = [
    "agents", "auth", "custom_fields", "customers", "events", "goals", "metadata", "operations", "segments",
    "self_service", "sla", "tickets", "web", "webhooks",
]  # fmt: skip
