"""What customers may store: so many bytes a day, and so many on one ticket. Text and files count.

Counted by the statement that stores them, in rows whose constraint refuses what is too much: no read before, no
statement more, and of two at once the second is refused. What staff write counts on the ticket and is never refused:
a customer must not keep others from answering."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Table, Uuid, bindparam, cast, delete, func, literal_column, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import Insert, insert

from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.errors import AppError
from app.events import log
from app.sla.core.enums import AuthorKind
from app.tickets.tables import customer_bytes, ticket_bytes


class CustomerQuota(AppError):
    """The ticket's customer, or who takes part in it, has stored as much today as a customer may in a day: text and
    files, by UTC. The detail says how much is left. Repeat after Retry-After, or send less."""

    status = 429
    code = "customer_quota"
    title = "Too much for one day"


class TicketQuota(AppError):
    """The ticket holds as much text and as many files as one may. The detail says how much is left. Delete files of
    the ticket, or open another one."""

    status = 413
    code = "ticket_quota"
    title = "Too much on one ticket"


_c, _t = customer_bytes.c, ticket_bytes.c
_TICKETS_KEY, _CUSTOMERS_KEY = ["ticket_id"], ["customer_id", "day"]


def _added(fresh: Insert, table: Table, key: list[str]) -> Insert:
    summed = {"bytes": table.c.bytes + fresh.excluded.bytes, "most": fresh.excluded.most}
    return fresh.on_conflict_do_update(index_elements=key, set_=summed)


def _adding(table: Table, key: list[str]) -> Query:
    return Query(_added(insert(table), table, key), [*key, "bytes", "most"], adds="bytes")


def _adding_after_customer() -> Query:
    """Locks the customer's row first, where it is stored already: an opening holds no ticket yet, and customers come
    before tickets and what is counted beside them."""
    customer_id = bindparam("customer_id", type_=Uuid)
    known = select(customers.c.id).where(customers.c.id == customer_id).with_for_update(read=True, key_share=True)
    locked = known.lateral("locked")
    one = select(literal_column("1")).subquery("one")
    names = [*_CUSTOMERS_KEY, "bytes", "most"]
    values = [bindparam(name, type_=_c[name].type) for name in names[1:]]
    row = select(func.coalesce(locked.c.id, customer_id), *values).select_from(one.outerjoin(locked, true()))
    stored = insert(customer_bytes).from_select(names, row)
    return Query(_added(stored, customer_bytes, _CUSTOMERS_KEY), adds="bytes")


_ADD_TO_TICKET = _adding(ticket_bytes, _TICKETS_KEY)
_ADD_TO_CUSTOMER = _adding(customer_bytes, _CUSTOMERS_KEY)
_ADD_AT_OPENING = _adding_after_customer()
_GIVE_BACK = Query(
    update(ticket_bytes)
    .where(_t.ticket_id == bindparam("ticket"))
    .values(bytes=func.greatest(_t.bytes - bindparam("size", type_=_t.bytes.type), literal_column("0")))
)
_OF_TICKET = Query(select(_t.bytes).where(_t.ticket_id == bindparam("ticket_id")))
_OF_CUSTOMER = Query(select(_c.bytes).where(_c.customer_id == bindparam("customer_id"), _c.day == bindparam("day")))
_yesterday = cast(func.timezone("UTC", func.clock_timestamp()), Date) - literal_column("1")
_past = select(_c.customer_id, _c.day).where(_c.day < _yesterday).limit(1000).with_for_update(skip_locked=True)
_CLEAN = Query(delete(customer_bytes).where(tuple_(_c.customer_id, _c.day).in_(_past)).returning(_c.customer_id))


def count(
    tx: Transaction, ticket_id: UUID, author: log.ActorRef, size: int, now: datetime, *, opening: bool = False
) -> None:
    """Queue that `author` stores so many bytes more on the ticket. Queue it before the change of the ticket's row, so
    that it runs after that. `opening`: with the message that the ticket begins with."""
    if not size:
        return
    by_customer = author.kind == AuthorKind.customer and author.id is not None
    most = tx.settings.ticket_bytes if by_customer else None
    _add(tx, (_ADD_TO_TICKET,), {"ticket_id": ticket_id}, size, most)
    if not by_customer:
        return
    tx.refuse("ck_ticket_bytes_within", partial(_of_ticket, ticket_id=ticket_id, most=tx.settings.ticket_bytes))
    today = {"customer_id": author.id, "day": now.astimezone(UTC).date()}
    queries = (_ADD_AT_OPENING, _ADD_TO_CUSTOMER) if opening else (_ADD_TO_CUSTOMER, _ADD_AT_OPENING)
    _add(tx, queries, today, size, tx.settings.customer_day_bytes)
    explained = partial(_of_customer, today=today, most=tx.settings.customer_day_bytes, now=now)
    tx.refuse("ck_customer_bytes_within", explained)


def _add(tx: Transaction, queries: Sequence[Query], key: dict[str, Any], size: int, most: int | None) -> None:
    """One row for each, by the first of `queries` unless another one has it: a statement changes none twice."""
    for row in chain.from_iterable(tx.queued(query) for query in queries):
        if all(row[name] == value for name, value in key.items()):
            row["bytes"] += size
            row["most"] = row["most"] if most is None else most
            return
    tx.write(queries[0], **key, bytes=size, most=most)


def give_back(tx: Transaction, ticket_id: UUID, size: int) -> None:
    """Queue that files of this size are gone from the ticket. The day keeps them: they were sent."""
    tx.write(_GIVE_BACK, ticket=ticket_id, size=size)


async def clean(tx: Transaction) -> int:
    """Delete a batch of days that are past; how many went."""
    return len(await tx.locked_rows(_CLEAN))


async def _of_ticket(tx: Transaction, *, ticket_id: UUID, most: int) -> AppError:
    row = await tx.row(_OF_TICKET, ticket_id=ticket_id)
    return TicketQuota(f"{_left(row, most)} left on this ticket")


async def _of_customer(tx: Transaction, *, today: dict[str, Any], most: int, now: datetime) -> AppError:
    row = await tx.row(_OF_CUSTOMER, **today)
    midnight = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    wait = max(1, int((midnight - now).total_seconds()) + 1)
    left = _left(row, most)
    detail = f"{left} left to this customer until {midnight:%Y-%m-%dT%H:%M:%SZ}"
    return CustomerQuota(detail, headers={"Retry-After": str(wait)})


def _left(row: Row | None, most: int) -> str:
    return f"{max(0, most - row['bytes'] if row else most)} of {most} bytes are"
