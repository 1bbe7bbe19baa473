"""Idempotency-Key: a repeated request gets the first answer again, byte for byte, and has no second effect.

The record is written by the transaction that has the effect. Uniqueness is the primary key's business; the advisory
lock only tells a repeat that the first one is still running, so that it can give its connection back and wait outside
the database instead of queueing up in it."""

import asyncio
import hashlib
import random
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Interval,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from starlette.requests import Request
from starlette.responses import Response

from app.db import Database, Query, Transaction
from app.errors import AppError, Invalid
from app.web.body import JsonRequest
from app.web.echoes import cut, restored
from app.web.problems import from_fault, respond
from app.web.tables import idempotency_records as records
from app.web.taken import UNIQUE_VIOLATION, conflict

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WAIT_SECONDS = 1.0
_KEPT_HEADERS = ("content-type", "location", "etag")
_PK = "pk_idempotency_records"
_DAY = cast(literal_column("'24 hours'"), Interval)
_EXPIRED = records.c.created_at <= func.clock_timestamp() - _DAY

_one = select(func.pg_try_advisory_xact_lock(bindparam("lock", type_=BigInteger)).label("free")).subquery()
_CLAIM = Query(
    select(
        _one.c.free,
        records.c.fingerprint,
        records.c.status,
        records.c.headers,
        records.c.body,
        records.c.cuts,
        _EXPIRED.label("expired"),
    ).select_from(
        _one.outerjoin(records, and_(records.c.caller_id == bindparam("caller_id"), records.c.key == bindparam("key")))
    )
)
_FORGET = Query(
    delete(records).where(records.c.caller_id == bindparam("caller_id"), records.c.key == bindparam("key"), _EXPIRED)
)
_KEEP = Query(insert(records), ["caller_id", "key", "fingerprint", "status", "headers", "body", "cuts", "subject_ids"])
_GONE = 410
_named = (
    select(records.c.caller_id, records.c.key)
    .where(
        or_(
            records.c.subject_ids.bool_op("&&")(bindparam("subject_ids", type_=ARRAY(Uuid))),
            records.c.caller_id == any_(bindparam("caller_ids", type_=ARRAY(Uuid))),
        ),
        records.c.status != _GONE,
    )
    .order_by(records.c.caller_id, records.c.key)
    .with_for_update(key_share=True)
    .cte("named")
)
_ERASE = Query(
    update(records)
    .where(records.c.caller_id == _named.c.caller_id, records.c.key == _named.c.key)
    .values(status=_GONE, headers=cast({}, JSONB), body=literal(b""))
)
# What an answer's ids are called. What it names by another word is shown in an answer of its own.
_NAMES = {"id", "ticket_id", "customer_id"}
_some_expired = select(records.c.caller_id, records.c.key).where(_EXPIRED).limit(1000).with_for_update(skip_locked=True)
_CLEAN = Query(
    delete(records)
    .where(func.row(records.c.caller_id, records.c.key).in_(_some_expired))
    .returning(records.c.caller_id)
)

Unit = Callable[[Transaction], Awaitable[Response]]


class KeyReused(AppError):
    """This Idempotency-Key was used for a different request. Use a new key for a new request."""

    status = 422
    code = "idempotency_key_reused"
    title = "The Idempotency-Key belongs to another request"


class InFlight(AppError):
    """The first request with this Idempotency-Key is still running. Repeat after Retry-After."""

    status = 409
    code = "idempotency_in_flight"
    title = "The first request is still running"


class ShownOnce(AppError):
    """This request was carried out before, and its answer held a secret that is shown once and kept nowhere. Nothing
    was done again. Where the answer was lost, revoke what it made and make another."""

    status = 409
    code = "shown_once"
    title = "The answer was shown once"


class AnswerErased(AppError):
    """This request was carried out before, and its answer was about somebody who was erased since. Nothing was done
    again."""

    status = _GONE
    code = "answer_erased"
    title = "The answer was erased"


class _Busy(Exception):
    """Somebody holds the key just now."""


async def once(
    db: Database, request: JsonRequest, caller: UUID, key: str, unit: Unit, *, within: float, shown_once: bool = False
) -> Response:
    """`unit`'s answer, or the one that an earlier request with the same key got. An answer `shown_once` is not kept:
    a repeat has no effect either, and is told so."""
    if not _KEY.fullmatch(key):
        raise Invalid.at("/header/Idempotency-Key", "bad_key", "1 to 255 visible ASCII characters")
    claim = _Claim(caller, key, request)
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    while True:
        try:
            return await _try(db, request, claim, unit, within, shown_once)
        except _Busy:
            if asyncio.get_running_loop().time() > deadline:
                raise InFlight("repeat the request in a moment", headers={"Retry-After": "1"}) from None
        await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter, not a secret


async def clean(tx: Transaction) -> int:
    """Delete a batch of records that are past their day; how many went."""
    return len(await tx.locked_rows(_CLEAN))


async def erase_answers(tx: Transaction, subject_ids: Sequence[UUID], caller_ids: Sequence[UUID]) -> None:
    """Answers that name one of these things, or were given to one of these callers. A repeat still does nothing."""
    await tx.locked_rows(_ERASE, subject_ids=subject_ids, caller_ids=caller_ids)


async def _try(
    db: Database, request: JsonRequest, claim: "_Claim", unit: Unit, within: float, shown_once: bool
) -> Response:
    async def claimed(tx: Transaction) -> Response:
        answer = await claim.earlier_answer(tx)
        if answer is None:
            answer = await unit(tx)
            claim.keep(tx, respond(request, ShownOnce()) if shown_once else answer)
        return answer

    try:
        return await db.run(claimed, within)
    except (AppError, asyncpg.PostgresError) as failed:
        # A constraint refuses as well as we do: a name that is taken stays taken for this key.
        refusal = failed if isinstance(failed, AppError) else await _refusal(db, failed)
        if not _is_kept(refusal):
            raise
        answer = respond(request, refusal)

    async def refused(tx: Transaction) -> Response:
        earlier = await claim.earlier_answer(tx)
        if earlier is None:
            claim.keep(tx, answer)
        return earlier or answer

    # The refusal rolled its unit back, so it is kept by a transaction of its own.
    return await db.run(refused, within)


def _is_kept(refusal: AppError) -> bool:
    """What says when to ask again is asked again."""
    again = "Retry-After" in refusal.headers
    return not (refusal.status >= 500 or again or isinstance(refusal, (KeyReused, AnswerErased)))


async def _refusal(db: Database, failed: asyncpg.PostgresError) -> AppError:
    if failed.sqlstate != UNIQUE_VIOLATION:
        return from_fault(failed)
    async with db.transaction() as tx:
        return await conflict(tx, failed)


class _Claim:
    """One caller's key, held for one request."""

    def __init__(self, caller: UUID, key: str, request: JsonRequest) -> None:
        self._id = {"caller_id": caller, "key": key}
        self._fingerprint = _fingerprint(request)
        self._brought = request.value
        digest = hashlib.sha256(caller.bytes + key.encode()).digest()
        self._lock = int.from_bytes(digest[:8], "big", signed=True)

    async def earlier_answer(self, tx: Transaction) -> Response | None:
        row = await tx.locked_row(_CLAIM, lock=self._lock, **self._id)
        assert row is not None
        if row["status"] is not None and not row["expired"]:
            if row["fingerprint"] != _marked(self._fingerprint, row["cuts"]):
                raise KeyReused("use a new key for a new request")
            if row["status"] == _GONE:
                raise AnswerErased("it was carried out before", headers={"Idempotency-Replayed": "true"})
            headers = {**row["headers"], "Idempotency-Replayed": "true"}
            return Response(restored(row["body"], row["cuts"], self._brought), row["status"], headers=headers)
        if not row["free"]:
            raise _Busy
        if row["status"] is not None:
            await tx.locked_row(_FORGET, **self._id)
        return None

    def keep(self, tx: Transaction, answer: Response) -> None:
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        rest, cuts = cut(bytes(answer.body), self._brought)
        tx.write(
            _KEEP,
            retry_on=_PK,
            **self._id,
            fingerprint=_marked(self._fingerprint, cuts),
            status=answer.status_code,
            headers=headers,
            body=rest,
            cuts=cuts,
            subject_ids=list(_ids_in(orjson.loads(answer.body))) if answer.body else [],
        )


def _ids_in(answer: object) -> Iterator[UUID]:
    """What it names, at any depth. What callers keep in fields of their own may be called the same."""
    if isinstance(answer, list):
        for each in answer:
            yield from _ids_in(each)
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name in _NAMES and isinstance(value, str) and _ID.fullmatch(value):
                yield UUID(value)
            else:
                yield from _ids_in(value)


def _fingerprint(request: JsonRequest) -> bytes:
    scope = request.scope
    digest = hashlib.sha256(f"{scope['method']} {scope['path']}?".encode(errors="replace"))
    digest.update(scope["query_string"] + b"\n")
    digest.update(request.raw)
    return digest.digest()


def _marked(fingerprint: bytes, cuts: Sequence[int]) -> bytes:
    """To a release that knows of no cuts it is another request's: that answers nothing rather than a part."""
    return fingerprint + b"+" if cuts else fingerprint


def key_of(request: Request) -> str | None:
    return request.headers.get("idempotency-key")
