"""What-if runs: sent, read, cancelled. `running.py` works on them."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select

from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.errors import Invalid, NotFound
from app.simulations import drafts
from app.simulations.figures import shown
from app.simulations.schemas import SlaSimulationIn
from app.simulations.tables import PLACES, sla_simulation_tickets, sla_simulations
from app.web.job_queue import JobQueue
from app.web.paging import Listing, Order

_s, _t = sla_simulations.c, sla_simulation_tickets.c
KEPT = timedelta(days=7)


class Kind(StrEnum):
    simulation = "simulation"


COUNTS = ("tickets_seen", "tickets_replayed", "tickets_unknown", "tickets_changed")
JOBS = JobQueue(
    sla_simulations, Kind,
    parameters=["place", "drafts", "from_at", "to_at", "filter"],
    progress=["after_ticket_id", "tickets_total", "figures", *COUNTS], total="tickets_total",
)  # fmt: skip
# Drafts are large, and nobody is shown them.
_shown = select(*(column for column in _s if column.name != "drafts"))
LISTING = Listing(
    "sla_simulations", _shown, {}, {"-created_at": Order((_s.created_at, _s.id), descending=True)}
)  # fmt: skip
TICKETS = Listing(
    "sla_simulation_tickets",
    select(sla_simulation_tickets),
    {"simulation_id": lambda name, _: _t.simulation_id == bindparam(name)},
    {"ticket_id": Order((_t.ticket_id,))},
)
_GET = Query(_shown.where(_s.id == bindparam("key_id")))
_HELD = Query(select(_s.id, _s.place, _s.created_at, _s.finished_at).where(_s.subject_id == bindparam("subject_id")))
_DELETE = Query(delete(sla_simulations).where(_s.id == bindparam("key_id")).returning(_s.id))
_EXPIRE = Query(delete(sla_simulations).where(_s.created_at < func.clock_timestamp() - KEPT))


async def create_simulation(tx: Transaction, actor: Actor, body: SlaSimulationIn) -> dict[str, Any]:
    """Queue a replay. Raises Invalid."""
    if body.from_ >= body.to:
        raise Invalid.at("/to", "out_of_range", "after `from`")
    stored = await drafts.checked(tx, body)
    place = await _free_place(tx, actor.bearer_id)
    now = await tx.now()
    # Whoever took it meanwhile has it: the next one is looked for.
    tx.retry_on.add("uq_sla_simulations_place")
    id_ = JOBS.queue(
        tx, Kind.simulation, actor.bearer_id, now, now, place=place, drafts=stored, from_at=body.from_,
        to_at=body.to, filter=body.filter.model_dump(mode="json", exclude_none=True),
    )  # fmt: skip
    await tx.flush()
    return await get_simulation(tx, id_)


async def _free_place(tx: Transaction, caller_id: UUID) -> int:
    """Where there is none, the oldest makes room, of those that are done if there are any."""
    held = await tx.rows(_HELD, subject_id=caller_id)
    free = set(range(1, PLACES + 1)) - {row["place"] for row in held}
    if free:
        return min(free)
    oldest = min(held, key=lambda row: (row["finished_at"] is None, row["created_at"], row["id"]))
    await tx.locked_row(_DELETE, key_id=oldest["id"])
    place: int = oldest["place"]
    return place


async def get_simulation(tx: Transaction, id: UUID) -> dict[str, Any]:
    """Raises NotFound."""
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no simulation with this id")
    return to_response(row)


async def delete_simulation(tx: Transaction, id: UUID) -> None:
    """Also one that runs: it goes no further than the tickets that are being looked at. Raises NotFound."""
    if await tx.locked_row(_DELETE, key_id=id) is None:
        raise NotFound("there is no simulation with this id")


async def clean(tx: Transaction) -> None:
    """Delete what has expired."""
    tx.write(_EXPIRE)


def to_response(row: Row) -> dict[str, Any]:
    figures: Mapping[str, Any] = row["figures"]
    return {
        **JOBS.to_response(row),
        **shown(figures),
        "expires_at": row["created_at"] + KEPT,
        "from": row["from_at"],
        "to": row["to_at"],
    }
