"""A dependency added to a route in FastAPI's way runs, or the route cannot be defined."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from sqlalchemy import literal, select

from app.auth.dependencies import Actor, may
from app.db import Query, Transaction
from app.errors import Forbidden
from app.events.stream_tickets import may_listen
from app.web.admission import REPORT, costs
from app.web.route import ListeningRoute, Tx, router
from tests.conftest import Person
from tests.support.expect import problem

Reader = Annotated[Actor, may("tickets:read")]


async def _refuse() -> None:
    raise Forbidden("a second factor is needed")


def _routes(app: FastAPI, define: Callable[[APIRouter], None]) -> None:
    made = router("/v1/trap", "tickets")
    define(made)
    app.router.routes.extend(made.routes)


@pytest.mark.parametrize("as_argument", [True, False])
async def test_a_dependency_that_refuses_keeps_the_function_from_running(
    app: FastAPI, client: httpx.AsyncClient, as_argument: bool
) -> None:
    ran: list[object] = []

    def define(routes: APIRouter) -> None:
        if as_argument:

            @routes.get("")
            async def guarded(tx: Tx, actor: Reader, mfa: Annotated[None, Depends(_refuse)]) -> None:
                ran.append(mfa)
        else:

            @routes.get("", dependencies=[Depends(_refuse)])
            async def guarded_from_outside(tx: Tx, actor: Reader) -> None:
                ran.append(tx)

    _routes(app, define)
    problem(await client.get("/v1/trap"), 403)
    assert ran == []


async def test_a_dependency_gives_its_own_value_and_may_ask_the_caller_and_the_database(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    closed: list[str] = []
    one = Query(select(literal(1).label("one")))

    async def tenant(tx: Tx, actor: Reader, name: str) -> AsyncIterator[str]:
        row = await tx.row(one)
        assert row is not None
        yield f"{name} {actor.role} {row['one']}"
        closed.append(name)

    def define(routes: APIRouter) -> None:
        @routes.get("")
        async def told(
            tx: Tx, actor: Reader, of: Annotated[str, Depends(tenant)], n: Annotated[int, Depends(lambda: 7)]
        ) -> Any:
            return [of, n, isinstance(tx, Transaction), actor.role]

    _routes(app, define)
    answer = await client.get("/v1/trap", params={"name": "acme"})
    assert answer.json() == ["acme admin 1", 7, True, "admin"]
    assert closed == ["acme"]


async def test_a_scope_that_only_a_dependency_asks_for_is_asked_for(app: FastAPI, person: Callable[..., Any]) -> None:
    async def writer(actor: Annotated[Actor, may("tickets:write")]) -> Actor:
        return actor

    async def of_goals(actor: Reader) -> Actor:
        return actor

    def define(routes: APIRouter) -> None:
        @routes.get("")
        async def nested(actor: Reader, who: Annotated[Actor, Depends(writer)]) -> Any:
            return [who.id == actor.id]

        @routes.get("/above")
        async def above(actor: Reader, who: Annotated[Actor, Security(of_goals, scopes=["goals:write"])]) -> Any:
            return []

        @routes.get("/beside", dependencies=[may("keys:read")])
        async def beside(actor: Reader) -> Any:
            return []

    _routes(app, define)
    reader: Person = await person("service", scopes=["tickets:read"])
    for path in ("/v1/trap", "/v1/trap/above", "/v1/trap/beside"):
        problem(await reader.http.get(path), 403)
    both: Person = await person("service", scopes=["tickets:read", "tickets:write"])
    assert (await both.http.get("/v1/trap")).json() == [True]


def test_a_route_without_a_scope_or_with_two_kinds_of_guards_cannot_be_defined() -> None:
    routes = router("/v1/trap", "tickets")
    with pytest.raises(TypeError, match="no scope"):

        @routes.get("")
        async def open_to_all(tx: Tx) -> None: ...

    with pytest.raises(TypeError, match="two kinds of guards"):

        @routes.get("")
        async def torn(actor: Reader, listener: Annotated[Actor, may_listen("events:read")]) -> None: ...


def test_what_writes_cannot_be_read_from_a_standby() -> None:
    routes = router("/v1/trap", "tickets")
    with pytest.raises(TypeError, match="standby"):

        @routes.post("")
        @costs(REPORT)
        async def write(tx: Tx, actor: Reader) -> None: ...


def test_a_stream_cannot_be_given_a_transaction() -> None:
    routes = router("/v1/trap", "tickets", ListeningRoute)
    with pytest.raises(TypeError, match="transaction"):

        @routes.get("")
        async def stream(tx: Tx, actor: Reader) -> None: ...
