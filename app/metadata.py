"""Every table there is, for Alembic and for tests."""

from app.agents import tables as agents
from app.auth import tables as auth
from app.automations import tables as automations
from app.availability import tables as availability
from app.claims import tables as claims
from app.cubes import tables as cubes
from app.custom_fields import tables as custom_fields
from app.customer_merges import tables as customer_merges
from app.customers import tables as customers
from app.db import metadata
from app.events import tables as events
from app.goals import tables as goals
from app.knowledge import tables as knowledge
from app.macros import tables as macros
from app.operations import tables as operations
from app.outlook import tables as outlook
from app.search import tables as search
from app.segments import tables as segments
from app.simulations import tables as simulations
from app.sla import tables as sla
from app.ticket_lists import tables as ticket_lists
from app.tickets import quality_tables
from app.tickets import tables as tickets
from app.web import tables as web
from app.webhooks import tables as webhooks

__all__ = [
    "agents",
    "auth",
    "automations",
    "availability",
    "claims",
    "cubes",
    "custom_fields",
    "customer_merges",
    "customers",
    "events",
    "goals",
    "knowledge",
    "macros",
    "metadata",
    "operations",
    "outlook",
    "quality_tables",
    "search",
    "segments",
    "simulations",
    "sla",
    "ticket_lists",
    "tickets",
    "web",
    "webhooks",
]
