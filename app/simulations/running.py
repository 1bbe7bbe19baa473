"""The worker's part of simulations: a batch of tickets at a time, by id, in slices between which everything else has
its turn. Reads tickets and the log; what it writes is the simulation's own."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, func, insert, literal_column, select
from sqlalchemy.dialects.postgresql import array

from app.db import Database, Query, Row, Transaction, Values
from app.events.tables import events
from app.release import NewerRelease
from app.simulations import service
from app.simulations.drafts import Drafts, built
from app.simulations.figures import AFTER, BEFORE, Figures, changed
from app.simulations.replay import Replay, started_in
from app.simulations.tables import sla_simulation_tickets
from app.sla.core.policy import Policy
from app.sla.coverage import MATCHED, match_policy
from app.sla.customer_context import CustomerContext, load_contexts
from app.tickets.tables import tickets
from app.verification.clocks import REPLAYED_TYPES, Cover, covers_of
from app.web.slices import in_slices

_BATCH = 1_000
# So many of the tickets that change are named; all are counted.
MOST_NAMED = 100_000
_t, _e = tickets.c, events.c
_READ = ("id", "created_at", "updated_at", "customer_id", "segment", "spam_at", *MATCHED)
_NEXT = Query(
    select(*(_t[name] for name in _READ))
    .where(_t.id > bindparam("after", type_=Uuid))
    .order_by(_t.id)
    .limit(literal_column(str(_BATCH)))
)
_TOTAL = Query(select(func.count()).select_from(tickets))
_TOLD = Query(
    select(_e.ticket_id, _e.type, _e.occurred_at, _e.actor_kind, _e.actor_id, _e.data)
    .where(
        _e.ticket_id == any_(bindparam("ticket_ids", type_=ARRAY(Uuid))),
        _e.type == any_(array(REPLAYED_TYPES)),
    )
    .order_by(_e.ticket_id, _e.id)
)
_NAME = Query(
    insert(sla_simulation_tickets), ["simulation_id", "ticket_id", "metrics", "breaches_before", "breaches_after"]
)


async def run_once(db: Database) -> bool:
    """One batch of the simulation that is next; whether there may be more."""
    return await db.run(_work)


async def _work(tx: Transaction) -> bool:
    job = await service.JOBS.claim(tx)
    if job is None:
        return False
    total = job["tickets_total"]
    if total is None:
        row = await tx.row(_TOTAL)
        total = row[0] if row else 0
    seen = await tx.rows(_NEXT, after=job["after_ticket_id"] or UUID(int=0))
    batch = _Batch(job, Figures(job["figures"]), {name: job[name] for name in service.COUNTS})
    batch.counts["tickets_seen"] += len(seen)
    await batch.replay(tx, [row for row in seen if _fits(row, job)])
    service.JOBS.advance(
        tx, job["id"], after_ticket_id=seen[-1]["id"] if seen else job["after_ticket_id"], tickets_total=total,
        figures=batch.figures.sums, finished_at=None if len(seen) == _BATCH else job["now"], **batch.counts,
    )  # fmt: skip
    return True


def _fits(ticket: Row, job: Row) -> bool:
    """Whether a clock may have started in the span. What happened to a ticket last is no earlier than its clocks."""
    if ticket["spam_at"] or ticket["created_at"] >= job["to_at"] or ticket["updated_at"] < job["from_at"]:
        return False
    return all(str(ticket[name]) == value for name, value in job["filter"].items())


class _Batch(NamedTuple):
    job: Row
    figures: Figures
    counts: dict[str, int]

    async def replay(self, tx: Transaction, wanted: list[Row]) -> None:
        drafts = await _drafts(tx, self.job)
        log = await tx.rows(_TOLD, ticket_ids=[row["id"] for row in wanted])
        covers = await covers_of(tx, log)
        by_ticket = {id_: list(rows) for id_, rows in groupby(log, key=lambda row: row["ticket_id"])}
        contexts: Mapping[UUID, CustomerContext] = {}
        if drafts.reads_customers:
            contexts = await load_contexts(tx, {row["customer_id"] for row in wanted})
        async for ticket in in_slices(wanted):
            told = by_ticket.get(ticket["id"], [])
            if not any(row["type"] == "ticket.created" for row in told[:2]):
                self.counts["tickets_unknown"] += 1
                continue
            try:
                self._one(tx, drafts, ticket, told, covers, contexts.get(ticket["customer_id"]))
            except NewerRelease:
                self.counts["tickets_unknown"] += 1

    def _one(
        self,
        tx: Transaction,
        drafts: Drafts,
        ticket: Row,
        log: list[Row],
        covers: Mapping[Cover, Policy],
        context: CustomerContext | None,
    ) -> None:
        facts = context.facts if context else {}
        told = Replay(
            lambda attributes: match_policy(drafts.policies, attributes, facts), drafts.reaching(ticket["id"], context)
        )
        told.tell(log, ticket, covers, self.job["created_at"])
        self.counts["tickets_replayed"] += 1
        start, end, now = self.job["from_at"], self.job["to_at"], self.job["created_at"]
        before, after = (started_in(clocks, start, end) for clocks in told.clocks())
        if not told.differs:
            self.figures.add(ticket["segment"], (BEFORE, AFTER), before, now)
            return
        self.figures.add(ticket["segment"], (BEFORE,), before, now)
        self.figures.add(ticket["segment"], (AFTER,), after, now)
        if metrics := changed(before, after, now):
            self.counts["tickets_changed"] += 1
            if self.counts["tickets_changed"] <= MOST_NAMED:
                breaches = [sum(clock.breached(now) for clock in clocks) for clocks in (before, after)]
                tx.write(
                    _NAME, simulation_id=self.job["id"], ticket_id=ticket["id"], metrics=metrics,
                    breaches_before=breaches[0], breaches_after=breaches[1],
                )  # fmt: skip


async def _drafts(tx: Transaction, job: Values) -> Drafts:
    """Built once in this process, and kept until another simulation is worked on."""
    held: dict[UUID, Drafts] = tx.memo.setdefault("simulation drafts", {})
    if job["id"] not in held:
        made: Any = await built(tx, job["drafts"])
        held.clear()
        held[job["id"]] = made
    found: Drafts = held[job["id"]]
    return found
