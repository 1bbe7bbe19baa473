"""What every operation goes through, in this order: who calls, may they, is the body readable, one transaction, the
answer rendered inside it, the commit, the answer sent. A unit that lost a deadlock is run again as a whole, which is
why this is a route class and not a dependency: a dependency cannot call its route twice."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from app.db import Transaction
from app.errors import Invalid, MalformedRequest, Overloaded
from app.web import body, etag, idempotency, names
from app.web.admission import BULK, READ, VITAL, WORK, Cost, declared_cost
from app.web.limits import CALLER, Caller, Place
from app.web.openapi import PROBLEM_RESPONSES
from app.web.packing import packed
from app.web.paging import PageQuery

_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
NDJSON_FIELD = "x-ndjson-field"
SHOWN_ONCE = "x-shown-once"
# Takes a body of any type as it comes, up to so many bytes; the route asks the request for it.
RAW_LIMIT = "x-raw-limit"
# In a process: bodies that may have megabytes, and those of other operations that are larger than most.
RAW_BODIES = 4
LARGE_BODIES = 24
_ROOM_WAIT_SECONDS = 10.0
# Three for sixteen connections: what works for seconds leaves most of the database to what works for milliseconds.
CONNECTIONS_FOR_A_HEAVY_ONE = 5
_HEAVY_WAIT_SECONDS = 10.0
_TX = "ninety.tx"


class _IdConvertor(StringConvertor):
    """`{policy_id:id}`: anything but a bare word, which is an operation beside the ids (`/compute`) or nothing."""

    regex = "[^/]*[^/a-z][^/]*"


register_url_convertor("id", _IdConvertor())


class Authenticator(SecurityBase, ABC):
    """Says who calls. Which callers there are is the business of `app.auth`."""

    needs_scope = True

    @abstractmethod
    async def authenticate(self, request: Request, scopes: Sequence[str]) -> Caller:
        """Raises a 401, 403 or 429 refusal."""


async def _current_tx(request: Request) -> Transaction:
    tx: Transaction = request.scope[_TX]
    return tx


Tx = Annotated[Transaction, Depends(_current_tx)]


class Route(APIRoute):
    @property
    def cost(self) -> Cost:
        """As `costs` declares it; else a read or a change of one thing, or a list where it takes a page's query."""
        return declared_cost(self.endpoint) or _usual_cost(self)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = APIRoute.get_route_handler(_bind_scope_arguments(self))
        guard, scopes = _guard_of(self)
        writes = bool(_WRITES & (self.methods or set()))
        keyed = "POST" in (self.methods or set())
        shown_once = SHOWN_ONCE in (self.openapi_extra or {})
        intake, cost = _Intake.of(self), self.cost
        if writes and cost.standby:
            raise TypeError(f"{self.name}: a standby takes no writes, not even that of an Idempotency-Key")
        known = names.parameters(self.dependant)

        async def handle(request: Request) -> Response:
            _refuse_unreadable(request)
            names.tidy(request.scope)
            state = request.app.state
            async with AsyncExitStack() as held:
                # Who waits for their caller, and not for this service, does not count meanwhile.
                with state.admission.paused[cost.kind]:
                    caller = request.scope[CALLER] = await guard.authenticate(request, scopes)
                    place: Place = state.limits.place(request.scope, caller)
                    with place:
                        request = await intake.take(request, place, held)
                        await place.take(cost)
                    if cost.heavy:
                        await held.enter_async_context(_in_time(state.heavy, _HEAVY_WAIT_SECONDS))
                return await packed(request, await answer(request, caller))

        async def answer(request: Request, caller: Caller) -> Response:
            state = request.app.state
            if known is not None and request.scope["query_string"]:
                names.check_parameters(request.query_params, known)
            unit = _unit(request, inner)
            if writes:
                return await _written(request, caller.id, unit, keyed=keyed, shown_once=shown_once)
            if cost.standby and state.standby and not _wants_newest(request):
                return _conditional(request, await _from_standby(request, unit))
            return _conditional(request, await state.db.run(unit, state.settings.request_seconds, reads=True))

        return handle


@dataclass(frozen=True, slots=True)
class _Intake:
    """How an operation takes its body: not at all, as JSON, as JSON or NDJSON with megabytes, or as it comes."""

    reads: bool
    ndjson_field: str | None
    raw_limit: int | None

    @classmethod
    def of(cls, route: APIRoute) -> "_Intake":
        extra = route.openapi_extra or {}
        return cls(route.body_field is not None, extra.get(NDJSON_FIELD), extra.get(RAW_LIMIT))

    async def take(self, request: Request, place: Place, held: AsyncExitStack) -> Request:
        """The request with its body. Where that is large, its room in memory is `held`."""
        state = request.app.state
        if self.raw_limit:
            await _enter_room(held, place.raw_body, state.raw_bodies)
            return await body.read_raw(request, self.raw_limit)
        if not self.reads:
            return request
        limit, rooms = state.settings.body_limit_bytes, (place.bodies, state.bodies)
        if self.ndjson_field:
            limit, rooms = state.settings.import_limit_bytes, (place.raw_body, state.raw_bodies)
        room = partial(_enter_room, held, *rooms)
        return await body.read(request, limit, room, ndjson_field=self.ndjson_field)


async def _enter_room(held: AsyncExitStack, of_caller: asyncio.Semaphore, of_all: asyncio.Semaphore) -> None:
    await held.enter_async_context(_room(of_caller, of_all))


def _usual_cost(route: APIRoute) -> Cost:
    if "GET" not in (route.methods or ()):
        return WORK
    takes_page = any(_is_page_query(field) for field in route.dependant.query_params)
    return BULK if takes_page and not route.param_convertors else READ


def _is_page_query(field: ModelField) -> bool:
    kind: object = field.field_info.annotation
    return isinstance(kind, type) and issubclass(kind, PageQuery)


class ListeningRoute(APIRoute):
    """One that answers for as long as somebody listens: a transaction would last as long. It is vital: to a browser's
    EventSource a refusal is final, and all of them come again at once where a process was replaced."""

    cost = VITAL

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = APIRoute.get_route_handler(_bind_scope_arguments(self))
        guard, scopes = _guard_of(self)
        if any(each.call is _current_tx for each in _within(self.dependant)):
            raise TypeError(f"{self.name}: it has no transaction, which would last as long as somebody listens")

        async def handle(request: Request) -> Response:
            _refuse_unreadable(request)
            names.tidy(request.scope)
            request.scope[CALLER] = await guard.authenticate(request, scopes)
            return await inner(request)

        return handle


@asynccontextmanager
async def _room(of_caller: asyncio.Semaphore, of_all: asyncio.Semaphore) -> AsyncIterator[None]:
    """Large bodies lie in memory, and in copies on their way to the database, so only a few do at a time, and of one
    caller's fewer: who sends slowly must not keep others from sending. Raises Overloaded."""
    async with _in_time(of_caller, _ROOM_WAIT_SECONDS), _in_time(of_all, _ROOM_WAIT_SECONDS):
        yield


@asynccontextmanager
async def _in_time(places: asyncio.Semaphore, seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            await places.acquire()
    except TimeoutError:
        raise Overloaded("too many large requests at once") from None
    try:
        yield
    finally:
        places.release()


def _bind_scope_arguments(route: APIRoute) -> APIRoute:
    """The route with its caller and its transaction taken from the request: having FastAPI solve a dependency for each
    took a twentieth of the time of a request. Every other dependency stays, and FastAPI solves it."""
    dependant, endpoint = route.dependant, route.endpoint
    ours = [each for each in dependant.dependencies if _ours(each)]
    places = {each.name: CALLER if isinstance(each.call, Authenticator) else _TX for each in ours if each.name}
    solved = [each for each in dependant.dependencies if not _ours(each)]
    wanted = dependant.request_param_name

    async def call(request: Request, **values: Any) -> Any:
        for name, place in places.items():
            values[name] = request.scope[place]
        if wanted:
            values[wanted] = request
        return await endpoint(**values)

    run = copy(route)
    run.dependant = replace(dependant, dependencies=solved, call=call, request_param_name="request")
    return run


def _ours(dependency: Dependant) -> bool:
    return isinstance(dependency.call, Authenticator) or dependency.call is _current_tx


def _unit(
    request: Request, inner: Callable[[Request], Awaitable[Response]]
) -> Callable[[Transaction], Awaitable[Response]]:
    async def unit(tx: Transaction) -> Response:
        request.scope[_TX] = tx
        return await inner(request)

    return unit


async def _written(
    request: Request, caller_id: UUID, unit: idempotency.Unit, *, keyed: bool, shown_once: bool
) -> Response:
    state = request.app.state
    db, within = state.db, state.settings.request_seconds
    key = idempotency.key_of(request) if keyed else None
    if key is None:
        answer: Response = await db.run(unit, within)
        return answer
    whole = request if isinstance(request, body.JsonRequest) else body.JsonRequest(request.scope, b"", None)
    return await idempotency.once(db, whole, caller_id, key, unit, within=within, shown_once=shown_once)


def _wants_newest(request: Request) -> bool:
    directives = ",".join(request.headers.getlist("cache-control")).lower().split(",")
    return "no-cache" in map(str.strip, directives)


async def _from_standby(request: Request, unit: idempotency.Unit) -> Response:
    """With its Age, unless it comes from the primary after all."""
    state = request.app.state
    answer: Response
    answer, age = await state.standby.run(unit, state.settings.request_seconds)
    if age is not None:
        answer.headers["Age"] = str(math.ceil(age))
    return answer


def _conditional(request: Request, response: Response) -> Response:
    current = response.headers.get("etag")
    if etag.unchanged(request.headers.get("if-none-match"), current):
        return Response(status_code=304, headers={"ETag": current or ""})
    return response


def _refuse_unreadable(request: Request) -> None:
    """Starlette would read bytes that are no UTF-8 as other characters: a search for them would find something else."""
    scope = request.scope
    raw_path = scope.get("raw_path")
    path = unquote_to_bytes(raw_path) if raw_path else scope["path"].encode(errors="surrogatepass")
    for part, raw in (("path", path), ("query", unquote_to_bytes(scope["query_string"]))):
        if b"\0" in raw:
            raise Invalid("NUL cannot be part of a path or query")
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise MalformedRequest(f"the {part} is not UTF-8: percent-encode its UTF-8 bytes") from None


def _guard_of(route: APIRoute) -> tuple[Authenticator, Sequence[str]]:
    """The guard and all scopes that it is asked for anywhere among the route's dependencies. Closed by default: raises
    TypeError for an operation that names no scope, or guards of two kinds."""
    guards: dict[int, Authenticator] = {}
    scopes: dict[str, None] = {}
    for each in _within(route.dependant):
        called: object = each.call
        if isinstance(called, Authenticator):
            guards[id(called)] = called
            scopes |= dict.fromkeys([*(each.parent_oauth_scopes or ()), *(each.own_oauth_scopes or ())])
    if len(guards) > 1:
        raise TypeError(f"{route.name}: two kinds of guards; use one")
    guard = next(iter(guards.values()), None)
    if guard is None or (guard.needs_scope and not scopes):
        raise TypeError(f"{route.name}: no scope; give it an actor argument with may(…)")
    return guard, list(scopes)


def _within(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _within(each)


def router(prefix: str, tag: str, route_class: type[APIRoute] = Route) -> APIRouter:
    """A feature's router: everything on it goes through `Route`."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=route_class,
        generate_unique_id_function=lambda route: route.name,
        responses=PROBLEM_RESPONSES,
    )
