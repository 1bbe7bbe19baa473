"""The live stream: one reader per process follows the feed and hands each event, encoded once, to all who listen.

A listener that comes back reads the feed itself, page by page in transactions of its own, until it stands where the
reader stands, and joins there. What waits for a listener is bounded: who falls behind is cut off, and goes on by its
position. No listener holds a connection to the database."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import orjson
import structlog
from fastapi.sse import EventSourceResponse, format_sse_event
from sqlalchemy import func, select
from starlette.responses import Response

from app.auth.dependencies import Actor
from app.auth.revalidation import still_valid
from app.db import FAULTS, Database, Query, Row
from app.errors import AppError, Overloaded
from app.events import feed, hints
from app.events.export import encoded
from app.events.feed import Page, Position, UnknownPosition, Wanted
from app.events.ticket_readers import READERS
from app.failures import Rounds
from app.instants import written
from app.web import metrics

log = structlog.get_logger("ninety.stream")

_POLL_SECONDS = 0.1
_HINT_SECONDS = 0.5
_KEEPALIVE_SECONDS = 15.0
_CREDENTIALS_SECONDS = 3.0
_BATCH = 100
# Listeners that come back and read the feed, at once: they must not take the connections that requests need.
_CATCHING_UP = 2
# What may wait for one listener. Most of it is shared by all who want the same.
_MOST_WAITING_BYTES = 128 * 1024
# What is sent at once: the server copies it for each listener.
_PIECE_BYTES = 16 * 1024
MOST_LISTENERS = 5_000

_TIME = Query(select(func.clock_timestamp().label("time")))
_BYE = format_sse_event(event="bye", data_str="{}")
# Blocks have either no field at all or data: several clients fail on a block with an id alone.
_PING = format_sse_event(comment="ping")

# Tickets, each with a customer who sees it.
Readers = set[tuple[UUID, UUID]]


class Listener:
    """One open stream. `position` is how far it was given events; `ending` says what is sent last."""

    __slots__ = ("actor", "ending", "position", "waiting", "waiting_bytes", "wake", "wanted")

    def __init__(self, actor: Actor, wanted: Wanted) -> None:
        self.actor = actor
        self.wanted = wanted
        self.position = feed.START
        self.waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.wake = asyncio.Event()
        self.ending: bytes | None = None

    def give(self, pieces: Sequence[bytes], size: int) -> bool:
        """Whether there was room."""
        if self.waiting_bytes + size > _MOST_WAITING_BYTES:
            self.end(b"")
            return False
        self.waiting.extend(pieces)
        self.waiting_bytes += size
        self.wake.set()
        return True

    def end(self, last: bytes) -> None:
        """After `last` nothing is sent; what waits is not kept: it comes again where the client goes on."""
        self.waiting.clear()
        self.waiting_bytes = 0
        self.ending = last
        self.wake.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What waits, as it comes, and a sign of life where nothing does; until it ends."""
        said = self.position
        while self.ending is None or self.waiting:
            while self.waiting:
                piece = self.waiting.popleft()
                self.waiting_bytes -= len(piece)
                yield piece
            self.wake.clear()
            if self.ending is not None:
                break
            try:
                async with asyncio.timeout(_KEEPALIVE_SECONDS):
                    await self.wake.wait()
            except TimeoutError:
                # The id moves on also where nothing of the feed was for this listener.
                yield _PING if said == self.position else _at(self.position)
                said = self.position
        if self.ending:
            yield self.ending


class TooManyStreams(AppError):
    """One caller may listen to so many streams at once, and no more. Close some, then open others."""

    status = 429
    code = "too_many_streams"
    title = "Too many streams"


class Hub:
    """`most` is how many streams one caller may have open."""

    def __init__(self, db: Database, most: int) -> None:
        self._db = db
        self._most = most
        self._listeners: set[Listener] = set()
        # All that are open, those that still catch up included, by who opened them.
        self.open_streams: Counter[UUID] = Counter()
        self._catching_up = asyncio.Semaphore(_CATCHING_UP)
        # Where the reader stands; none while nobody listens.
        self._position: Position | None = None
        self._somebody = asyncio.Event()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the application serves. The streams end by `stop`, when the process is told to end and not when it has:
        the server waits for them."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow())
            checking = tasks.create_task(self._check_credentials())
            hinting = tasks.create_task(self._hint())
            try:
                yield
            finally:
                self.stop()
                following.cancel()
                checking.cancel()
                hinting.cancel()

    def stop(self) -> None:
        """Say goodbye to everybody; who comes now is turned away."""
        self._stopping = True
        for listener in self._listeners:
            listener.end(_BYE)

    async def open(self, actor: Actor, wanted: Wanted, after: str | None, last_event_id: str | None) -> Response:
        """The answer that goes on. Raises UnknownPosition, TooManyStreams and Overloaded."""
        if self._stopping or self.open_streams.total() >= MOST_LISTENERS:
            raise Overloaded("this process takes no more listeners")
        if self.open_streams[actor.bearer_id] >= self._most:
            raise TooManyStreams(f"at most {self._most} at once", headers={"Retry-After": "5"})
        listener = Listener(actor, wanted)
        first: Page | None = None
        if after or last_event_id:
            pointer = "/query/after" if after else "/header/Last-Event-ID"
            start = feed.parse_position(after or last_event_id or "", pointer)
            first = await self._catch_up(start, wanted, actor)
            if first is None:
                raise UnknownPosition.of(pointer)
        async with self._db.transaction(reads=True) as tx:
            if first is None:
                start = await feed.end(tx)
                first = Page([], start, more=False)
            hello = _hello(start, await tx.row(_TIME))
        return EventSourceResponse(self._stream(listener, first, hello), headers={"X-Accel-Buffering": "no"})

    async def _stream(self, listener: Listener, page: Page, hello: bytes) -> AsyncIterator[bytes]:
        self.open_streams[listener.actor.bearer_id] += 1
        try:
            yield hello
            while True:
                for piece in _pieces(page.rows, listener.wanted):
                    yield piece
                if not page.rows or feed.position_of(page.rows[-1]) != page.next:
                    yield _at(page.next)
                if self._joined(listener, page):
                    break
                found = await self._catch_up(page.next, listener.wanted, listener.actor)
                if found is None:
                    return  # the database was put back meanwhile, or the caller would not be let in any more
                page = found
            async for piece in listener.pieces():
                yield piece
        except (*FAULTS, Overloaded) as failed:
            # The client goes on from where it is, which is where it stands by its own count.
            log.warning("stream_read_failed", error=repr(failed))
        finally:
            self._listeners.discard(listener)
            self.open_streams -= Counter([listener.actor.bearer_id])

    def _joined(self, listener: Listener, page: Page) -> bool:
        """Whether the listener stands where the reader stands, and is with it from now on. What the reader has still to
        see, and the listener has seen, is left out for them."""
        if self._stopping:
            listener.end(_BYE)
            return True
        if page.more or (self._position is not None and page.next < self._position):
            return False
        if not self._listeners or self._position is None:
            self._position = page.next
        listener.position = page.next
        self._listeners.add(listener)
        self._somebody.set()
        return True

    async def _catch_up(self, after: Position, wanted: Wanted, actor: Actor) -> Page | None:
        async with self._catching_up:
            return await self._read(after, wanted, actor)

    async def _read(self, after: Position, wanted: Wanted, actor: Actor | None = None) -> Page | None:
        """A page; None where there is no such position, or for an `actor` who would not be let in any more."""
        async with self._db.transaction(reads=True) as tx:
            if actor is not None and not await still_valid(tx, [actor]):
                return None
            page = await feed.read(tx, after, _BATCH, wanted)
        return page and Page([row for row in page.rows if not row["imported"]], page.next, page.more)

    async def _follow(self) -> None:
        rounds = Rounds("stream")
        while True:
            await self._somebody.wait()
            try:
                pause = 0 if await self._hand_out_next() else _POLL_SECONDS
                rounds.done()
            except Exception as failed:
                pause = rounds.failed(failed)
            if pause:
                await asyncio.sleep(pause)

    async def _hand_out_next(self) -> bool:
        """Hand out the next events; whether there are more at once."""
        if not self._listeners:
            self._position = None
            self._somebody.clear()
            return False
        after = self._position
        assert after is not None
        page = await self._read(after, feed.EVERYTHING)
        if page is None:
            # The database is another one than before: everybody finds out by themselves.
            for listener in self._listeners:
                listener.end(b"")
            return False
        readers: Readers = set()
        asked: set[UUID] = set()
        while customers := self._listening_customers() - asked:
            readers |= await self._readers(page.rows, customers)
            asked |= customers
        # From here on nothing waits: whoever joined meanwhile is with it.
        if self._position != after:
            return True  # everybody had left, and somebody came
        self._position = page.next
        self._hand_out(page, readers)
        return page.more

    async def _hint(self) -> None:
        rounds, told = Rounds("stream_hints"), hints.told_now(())
        while True:
            await self._somebody.wait()
            try:
                told = await self._hand_out_hints(told)
                rounds.done()
                pause = _HINT_SECONDS
            except Exception as failed:
                pause = rounds.failed(failed)
            await asyncio.sleep(pause)

    async def _hand_out_hints(self, told: hints.Told) -> hints.Told:
        """To the staff, what was said since the last time; all that holds now."""
        if all(listener.wanted.customer_id for listener in self._listeners):
            return {}
        async with self._db.transaction(reads=True) as tx:
            rows = await hints.held(tx)
        for row in rows:
            if told.get((row["ticket_id"], row["caller_id"])) == row["until"]:
                continue
            piece = hints.encoded(row)
            for listener in list(self._listeners):
                wanted = listener.wanted
                if wanted.customer_id is None and wanted.ticket_id in (None, row["ticket_id"]):
                    self._give(listener, [piece], len(piece))
        return hints.told_now(rows)

    def _give(self, listener: Listener, pieces: Sequence[bytes], size: int) -> None:
        if not listener.give(pieces, size):
            self._listeners.discard(listener)
            metrics.LISTENERS_DROPPED.inc()

    def _listening_customers(self) -> set[UUID]:
        return {listener.wanted.customer_id for listener in self._listeners if listener.wanted.customer_id}

    async def _readers(self, rows: Iterable[Row], customers: set[UUID]) -> Readers:
        """Which of these customers see which of the tickets."""
        ids = {row["ticket_id"] for row in rows if row["ticket_id"] and not row["internal"]}
        if not ids:
            return set()
        async with self._db.transaction(reads=True) as tx:
            found = await tx.rows(READERS, ids=list(ids), among=list(customers))
        return {(row["id"], row["customer_id"]) for row in found}

    def _hand_out(self, page: Page, readers: Readers) -> None:
        """To each what it wants. Who wants the same, from the same place on, gets the very same bytes."""
        encoder = _Encoder()
        prepared: dict[tuple[Wanted, Position | None], tuple[list[bytes], int]] = {}
        first = feed.position_of(page.rows[0]) if page.rows else page.next
        for listener in list(self._listeners):
            behind = listener.position if listener.position >= first else None
            key = (listener.wanted, behind)
            if key not in prepared:
                rows = [row for row in page.rows if _fits(row, listener.wanted, readers, behind)]
                pieces = list(encoder.pieces(rows, for_customer=listener.wanted.customer_id is not None))
                prepared[key] = pieces, sum(map(len, pieces))
            pieces, size = prepared[key]
            listener.position = max(listener.position, page.next)
            if pieces:
                self._give(listener, pieces, size)

    async def _check_credentials(self) -> None:
        """Who would not be let in any more hears nothing more."""
        while True:
            await asyncio.sleep(_CREDENTIALS_SECONDS)
            actors = {listener.actor for listener in self._listeners}
            if not actors:
                continue
            try:
                async with self._db.transaction(reads=True) as tx:
                    good = await still_valid(tx, actors)
            except Exception as failed:
                log.warning("stream_check_failed", error=repr(failed))
                continue
            gone = actors - good
            for listener in list(self._listeners):
                if listener.actor in gone:
                    self._listeners.discard(listener)
                    listener.end(b"")


def _hello(start: Position, row: Row | None) -> bytes:
    """What a stream begins with: what is read after it has come misses nothing that the stream does not bring."""
    assert row is not None
    data = {"position": str(start), "time": written(row["time"])}
    return format_sse_event(event="hello", data_str=orjson.dumps(data).decode(), id=str(start), retry=1000)


def _at(position: Position) -> bytes:
    """How far the stream has come, where no event said so."""
    text = str(position)
    return format_sse_event(event="position", data_str=f'{{"position":"{text}"}}', id=text)


class _Encoder:
    """Each event once for staff and once for customers, whoever listens."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bool], bytes] = {}

    def pieces(self, rows: Iterable[Row], *, for_customer: bool) -> Iterator[bytes]:
        """Messages, joined as far as is sent at once."""
        joined = bytearray()
        for row in rows:
            message = self._message(row, for_customer)
            if joined and len(joined) + len(message) > _PIECE_BYTES:
                yield bytes(joined)
                joined.clear()
            joined += message
        if joined:
            yield bytes(joined)

    def _message(self, row: Row, for_customer: bool) -> bytes:
        key = (row["id"], for_customer)
        if key not in self._known:
            data = encoded(row, for_customer=for_customer).decode()
            self._known[key] = format_sse_event(data_str=data, id=str(feed.position_of(row)))
        return self._known[key]


def _pieces(rows: Iterable[Row], wanted: Wanted) -> Iterator[bytes]:
    return _Encoder().pieces(rows, for_customer=wanted.customer_id is not None)


def _fits(row: Row, wanted: Wanted, readers: Readers, behind: Position | None) -> bool:
    """As the feed's own statement decides it."""
    if behind is not None and feed.position_of(row) <= behind:
        return False
    if wanted.types is not None and row["type"] not in wanted.types:
        return False
    if wanted.ticket_id is not None and row["ticket_id"] != wanted.ticket_id:
        return False
    if wanted.customer_id is None:
        return True
    return not row["internal"] and (row["ticket_id"], wanted.customer_id) in readers
