"""What every operation goes through, in this order: who calls, may they, is the body readable, one transaction, the
answer rendered inside it, the commit, the answer sent. A unit that lost a deadlock is run again as a whole, which is
why this is a route class and not a dependency: a dependency cannot call its route twice."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response

from app.db import Transaction
from app.errors import Invalid, Overloaded
from app.web import body, etag, idempotency
from app.web.limits import Caller
from app.web.openapi import PROBLEM_RESPONSES

_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
NDJSON_FIELD = "x-ndjson-field"
SHOWN_ONCE = "x-shown-once"
# Takes a body of any type as it comes, up to so many bytes; the route asks the request for it.
RAW_LIMIT = "x-raw-limit"
RAW_AT_ONCE = 4
_RAW_WAIT_SECONDS = 10.0
_TX = "ninety.tx"
CALLER = "ninety.caller"


class _IdConvertor(StringConvertor):
    """`{policy_id:id}`: anything but a bare word, which is an operation beside the ids (`/compute`) or nothing."""

    regex = "[^/]*[^/a-z][^/]*"


register_url_convertor("id", _IdConvertor())


class Guard(SecurityBase, ABC):
    """Says who calls. Which callers there are is the business of `app.auth`."""

    @abstractmethod
    async def admit(self, request: Request, scopes: Sequence[str]) -> Caller:
        """Raises a 401, 403 or 429 refusal."""


async def _current_tx(request: Request) -> Transaction:
    tx: Transaction = request.scope[_TX]
    return tx


Tx = Annotated[Transaction, Depends(_current_tx)]


class Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = APIRoute.get_route_handler(_handing_over(self))
        guard, scopes = _guard_of(self)
        reads_body = self.body_field is not None
        writes = bool(_WRITES & (self.methods or set()))
        keyed = "POST" in (self.methods or set())
        extra = self.openapi_extra or {}
        ndjson_field, raw_limit, shown_once = extra.get(NDJSON_FIELD), extra.get(RAW_LIMIT), SHOWN_ONCE in extra

        async def handle(request: Request) -> Response:
            _refuse_nul(request)
            state = request.app.state
            with state.admission.aside:
                caller = request.scope[CALLER] = await guard.admit(request, scopes)
            with state.limits.one_of(caller) as use:
                if not raw_limit:
                    return await answer(request, caller)
                async with _room(state, use.large_body):
                    return await answer(request, caller)

        async def answer(request: Request, caller: Caller) -> Response:
            state = request.app.state
            if reads_body:
                limit = state.settings.import_limit_bytes if ndjson_field else state.settings.body_limit_bytes
                with state.admission.aside:
                    request = await body.read(request, limit, ndjson_field=ndjson_field)
            elif raw_limit:
                with state.admission.aside:
                    request = await body.read_raw(request, raw_limit)
            unit = _unit(request, inner)
            if writes:
                return await _written(request, caller.id, unit, keyed=keyed, shown_once=shown_once)
            return _conditional(request, await state.db.run(unit, state.settings.request_seconds))

        return handle


class ListeningRoute(APIRoute):
    """One that answers for as long as somebody listens: a transaction would last as long."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = APIRoute.get_route_handler(_handing_over(self))
        guard, scopes = _guard_of(self)

        async def handle(request: Request) -> Response:
            _refuse_nul(request)
            request.scope[CALLER] = await guard.admit(request, scopes)
            return await inner(request)

        return handle


@asynccontextmanager
async def _room(state: State, of_caller: asyncio.Lock) -> AsyncIterator[None]:
    """Large bodies lie in memory, and in copies on their way to the database, so only a few do at a time, and of one
    caller's one: who sends slowly must not keep others from sending. Raises Overloaded."""
    async with AsyncExitStack() as held:
        try:
            # Who waits has sent next to nothing yet, and costs nothing.
            with state.admission.aside:
                async with asyncio.timeout(_RAW_WAIT_SECONDS):
                    await held.enter_async_context(of_caller)
                    await held.enter_async_context(state.large_bodies)
        except TimeoutError:
            raise Overloaded("too many large bodies at once") from None
        yield


def _handing_over(route: APIRoute) -> APIRoute:
    """The route for who runs it: its caller and its transaction lie in the request, and are handed over from there.
    FastAPI would solve a dependency for each, which took a twentieth of the time of a request."""
    dependant, endpoint = route.dependant, route.endpoint
    lie_at = {str(each.name): CALLER if isinstance(each.call, Guard) else _TX for each in dependant.dependencies}
    wanted = dependant.request_param_name

    async def call(request: Request, **values: Any) -> Any:
        for name, place in lie_at.items():
            values[name] = request.scope[place]
        if wanted:
            values[wanted] = request
        return await endpoint(**values)

    run = copy(route)
    run.dependant = replace(dependant, dependencies=[], call=call, request_param_name="request")
    return run


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


def _conditional(request: Request, response: Response) -> Response:
    current = response.headers.get("etag")
    if etag.unchanged(request.headers.get("if-none-match"), current):
        return Response(status_code=304, headers={"ETag": current or ""})
    return response


def _refuse_nul(request: Request) -> None:
    if b"%00" in request.scope["query_string"] or "\0" in request.scope["path"]:
        raise Invalid("NUL cannot be part of a path or query")


def _guard_of(route: APIRoute) -> tuple[Guard, Sequence[str]]:
    """Closed by default: an operation that names no scope cannot even be defined."""
    for dependency in route.dependant.dependencies:
        guard: object = dependency.call
        if isinstance(guard, Guard) and dependency.own_oauth_scopes:
            return guard, dependency.own_oauth_scopes
    raise TypeError(f"{route.name}: no scope; give it an actor argument with may(…)")


def router(prefix: str, tag: str, route_class: type[APIRoute] = Route) -> APIRouter:
    """A feature's router: everything on it goes through `Route`."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=route_class,
        generate_unique_id_function=lambda route: route.name,
        responses=PROBLEM_RESPONSES,
    )
