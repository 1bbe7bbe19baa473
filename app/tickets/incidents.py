"""A problem is solved, and with it the incidents that it caused: each is answered with the same message and resolved,
batch by batch. A batch, its messages and the job's position commit together, so nobody is answered twice."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select

from app.auth.dependencies import Actor
from app.auth.roles import SCOPES, Role
from app.db import Database, Query, Transaction
from app.errors import AppError, Conflict, Forbidden
from app.events import log
from app.sla.core.enums import DONE, AuthorKind, Status, TicketType
from app.tickets.lifecycle import LinkKind
from app.tickets.queries import NOT_DONE, get_ticket
from app.tickets.schemas import MessageIn, TicketPatch
from app.tickets.service import change_ticket, reply
from app.tickets.tables import incident_jobs, ticket_links, tickets
from app.web.job_queue import JobQueue

_BATCH = 50
_SHOWN = 200


class NotAProblem(Conflict):
    """Only a ticket of the type `problem` causes incidents that are solved with it."""

    code = "not_a_problem"
    title = "The ticket is not a problem"


class Kind(StrEnum):
    solve_problem = "solve_problem"


JOBS = JobQueue(
    incident_jobs, Kind,
    parameters=["body", "made_by_kind", "made_by_id"],
    progress=["body", "after_ticket_id", "incidents_total", "answered", "refused"], total="incidents_total",
)  # fmt: skip
_t, _l = tickets.c, ticket_links.c
_caused = (
    select(_t.id)
    .join(ticket_links, _l.source_id == _t.id)
    .where(
        _l.target_id == bindparam("problem_id", type_=Uuid), _l.kind == LinkKind.caused_by.value, NOT_DONE,
        _t.merged_into.is_(None),
    )
)  # fmt: skip
_NEXT = Query(_caused.where(_t.id > bindparam("after", type_=Uuid)).order_by(_t.id).limit(bindparam("batch")))
_TOTAL = Query(select(func.count().label("total"), func.clock_timestamp().label("now")).select_from(_caused.subquery()))
_NOBODY = UUID(int=0)


async def preview(tx: Transaction, actor: Actor, problem_id: UUID) -> dict[str, Any]:
    await _problem(tx, actor, problem_id)
    counted = await tx.row(_TOTAL, problem_id=problem_id)
    assert counted is not None
    rows = await tx.rows(_NEXT, problem_id=problem_id, after=_NOBODY, batch=_SHOWN)
    return {
        "id": None, "problem_id": problem_id, "state": "counted", "incidents_total": counted["total"], "answered": 0,
        "refused": 0, "ticket_ids": [row["id"] for row in rows], "created_at": counted["now"],
        "finished_at": counted["now"],
    }  # fmt: skip


async def solve(tx: Transaction, actor: Actor, problem_id: UUID, body: str) -> dict[str, Any]:
    """The problem is resolved at once, if it is not yet; a job does the rest."""
    problem = await _problem(tx, actor, problem_id)
    if problem["status"] not in DONE:
        await change_ticket(tx, actor, problem_id, TicketPatch(status=Status.resolved), None)
    counted = await tx.row(_TOTAL, problem_id=problem_id)
    assert counted is not None
    now, who = counted["now"], log.actor_ref(actor)
    job_id = JOBS.queue(
        tx, Kind.solve_problem, problem_id, now, now, body=body, made_by_kind=who.kind, made_by_id=who.id
    )
    log.record(
        tx, who, "ticket.problem_solved", problem_id, now, {"job_id": job_id}, ticket_id=problem_id, internal=True
    )
    await tx.flush()
    return await get_job(tx, actor, job_id)


async def get_job(tx: Transaction, actor: Actor, id: UUID) -> dict[str, Any]:
    _check_staff(actor)
    job = JOBS.to_response(await JOBS.get(tx, id))
    return {**job, "problem_id": job["subject_id"], "ticket_ids": None}


async def run_once(db: Database) -> bool:
    """One batch of the job that is due; whether there may be more."""
    return await db.run(_work)


async def _work(tx: Transaction) -> bool:
    job = await JOBS.claim(tx)
    if job is None:
        return False
    problem_id, after, total = job["subject_id"], job["after_ticket_id"] or _NOBODY, job["incidents_total"]
    if total is None:
        counted = await tx.row(_TOTAL, problem_id=problem_id)
        total = counted["total"] if counted else 0
    ids = [row["id"] for row in await tx.rows(_NEXT, problem_id=problem_id, after=after, batch=_BATCH)]
    actor = _who_asked(job["made_by_kind"], job["made_by_id"])
    answers = [await _answer(tx, actor, id_, job["body"]) for id_ in ids]
    over = len(ids) < _BATCH
    JOBS.advance(
        tx,
        job["id"],
        # The text is kept no longer than it is needed.
        body=None if over else job["body"],
        after_ticket_id=ids[-1] if ids else after,
        incidents_total=total,
        answered=job["answered"] + sum(answers),
        refused=job["refused"] + answers.count(False),
        finished_at=job["now"] if over else None,
    )
    return True


async def _answer(tx: Transaction, actor: Actor, id: UUID, body: str) -> bool:
    try:
        async with tx.nested(savepoint=True):
            await reply(tx, actor, id, MessageIn(body=body, status=Status.resolved))
    except AppError as refused:
        if refused.status >= 500:
            raise
        return False
    return True


def _who_asked(kind: str, id: UUID | None) -> Actor:
    """They were let in when they asked; who they are is all that their messages say of them."""
    role = Role.service if kind == AuthorKind.bot else Role.admin
    return Actor(_NOBODY, role, SCOPES, agent_id=id)


async def _problem(tx: Transaction, actor: Actor, id: UUID) -> Any:
    _check_staff(actor)
    ticket = await get_ticket(tx, actor, id)
    if ticket["type"] != TicketType.problem:
        raise NotAProblem(f"it is a {ticket['type']}: set its type first")
    return ticket


def _check_staff(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("which incidents a problem caused is the staff's to know")
