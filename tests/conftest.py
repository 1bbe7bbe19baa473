"""Tests run against a real PostgreSQL: the embedded one, or the server of DATABASE_URL. Each test that asks for a
database gets its own, cloned from a template that the migrations made, so that tests neither see nor wait for each
other."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import httpx
import hypothesis
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth.keys import make_key
from app.db import Database, Transaction
from app.main import create_app
from app.migrate import migrate
from app.operations.setup import set_up
from app.settings import Settings
from embedded_postgres import EmbeddedPostgres
from tests.support.document import plain
from tests.support.pooler import pooler

if TYPE_CHECKING:
    from tests.support.desk import Desk
    from tests.support.world import World

ADMIN_KEY = make_key()[1]
_IN_MEMORY = Path("/dev/shm")
# Of a URL through PgBouncer the one without.
_DIRECT: dict[str, str] = {}
_ENOUGH_BYTES = 4 * 2**30

# How long anything takes is the business of benches: a busy machine fails no property.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")
# For `make mutation`, which runs the tests of the core once for each of a thousand planted bugs.
hypothesis.settings.register_profile("mutation", max_examples=20, derandomize=True, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--security", action="store_true", help="Only the tests with figures of security, at full length.")
    parser.addoption("--long", action="store_true", help="Tests of faults take the times that the promises name.")
    parser.addoption("--pooler", action="store_true", help="The service reaches its database through PgBouncer.")
    parser.addoption("--browser", action="store_true", help="The tests in a browser as well.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--security"):
        items[:] = [item for item in items if "figure" in getattr(item, "fixturenames", ())]


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """`figure("tokens refused", 41)`, or one call for each of them: `make security` runs the tests that ask for this
    fixture, adds up what they report under a name, and prints it in its table."""
    return record_property


@pytest.fixture
def shows(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """`shows("P32", "0 deadlocks in 1,246 requests")`: `make faults` prints it in its table."""
    return record_property


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A DSN with the right to make databases."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    # Not under pytest's own directory: that is closed to the user that PostgreSQL runs as where tests run as root.
    # A database is four hundred files: in memory it is made and dropped in half the time.
    roomy = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > _ENOUGH_BYTES
    place = _IN_MEMORY if roomy else None
    with tempfile.TemporaryDirectory(prefix="ninety-tests-", ignore_cleanup_errors=True, dir=place) as directory:
        os.chmod(directory, 0o711)
        with EmbeddedPostgres(Path(directory) / "data", durable=False) as url:
            yield url


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a database with the schema and the stock set-up in it."""
    name = f"ninety_template_{secrets.token_hex(6)}"
    administer(server_url, f'CREATE DATABASE "{name}"')
    url = on_database(server_url, name)
    migrate(url)

    async def first_start() -> None:
        async with Database.open(Settings(database_url=url)) as db:
            await set_up(db, ADMIN_KEY)

    asyncio.run(first_start())
    yield name
    administer(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


Databases = Callable[[], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def databases(server_url: str, template: str) -> Databases:
    """`with databases() as url:` a database of one's own, with the schema and the stock set-up in it."""

    @contextmanager
    def one() -> Iterator[str]:
        name = f"ninety_test_{secrets.token_hex(6)}"
        administer(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield on_database(server_url, name)
        administer(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')

    return one


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A database of this test's own."""
    with databases() as url:
        yield url


@cache
def served_openapi() -> dict[str, Any]:
    """The document that every application makes: once for all tests, because it takes longer than most of them."""
    return create_app(Settings(database_url="postgresql://nowhere.test/n")).openapi()


@cache
def openapi() -> dict[str, Any]:
    """The same, with nothing said elsewhere."""
    return plain(served_openapi())


def roomy(database_url: str, data_dir: Path) -> Settings:
    """Some tests ask a hundred things at once."""
    return Settings(
        database_url=database_url, admin_key=ADMIN_KEY, data_dir=data_dir, worker=False,
        concurrency=1_000, caller_concurrency=1_000,
    )  # fmt: skip


@pytest.fixture(scope="session")
def through_pooler(request: pytest.FixtureRequest, server_url: str) -> Iterator[Callable[[str], str] | None]:
    """With `--pooler`: what makes of a database's URL the one through PgBouncer."""
    if not request.config.getoption("--pooler"):
        yield None
        return
    with pooler(server_url) as through:
        yield through


@pytest.fixture
def settings(database_url: str, tmp_path: Path, through_pooler: Callable[[str], str] | None) -> Settings:
    if through_pooler is None:
        return roomy(database_url, tmp_path)
    url = through_pooler(database_url)
    _DIRECT[url] = database_url
    return roomy(url, tmp_path).model_copy(update={"database_pooler": "pgbouncer"})


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, started, without a worker."""
    application = create_app(settings)
    application.openapi = served_openapi  # type: ignore[method-assign]
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
def db(app: FastAPI) -> Database:
    database: Database = app.state.db
    return database


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's client."""
    async with client_for(app, ADMIN_KEY) as http:
        yield http


@asynccontextmanager
async def client_for(app: FastAPI, key: str | None) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=hanging_up(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ninety.test", headers=headers) as http:
        yield http


async def settled(database_url: str | None) -> None:
    """Until all that is committed by now may be told of: whatever runs anywhere on the server holds up the log, and
    tests share a server."""
    try:
        connection = await asyncpg.connect(_DIRECT.get(database_url or "", database_url))
    except OSError:
        return  # a test took the database away
    try:
        await settled_by(connection)
    finally:
        await connection.close()


async def settled_by(connection: Any) -> None:
    now = int(await connection.fetchval("SELECT pg_current_xact_id()::text"))
    async with asyncio.timeout(60):
        while int(await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")) <= now:
            await asyncio.sleep(0.005)


def hanging_up(app: FastAPI) -> ASGIApp:
    """The application for a client that waits for the end of an answer: it leaves a stream at its beginning. And that
    is told of everything."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/v1/events"):
            await settled(app.state.settings.database_url)
        streaming = asyncio.Event()

        async def sent(message: Message) -> None:
            if (b"content-type", b"text/event-stream; charset=utf-8") in message.get("headers", ()):
                streaming.set()
            await send(message)

        async def received() -> Message:
            message = asyncio.ensure_future(receive())
            left = asyncio.ensure_future(streaming.wait())
            done, _ = await asyncio.wait({message, left}, return_when=asyncio.FIRST_COMPLETED)
            (left if message in done else message).cancel()
            return message.result() if message in done else {"type": "http.disconnect"}

        await app(scope, received, sent)
        if streaming.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return asked


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key: `id` is their agent's or customer's."""

    id: UUID | None
    key: str
    http: httpx.AsyncClient


@pytest.fixture
async def person(app: FastAPI, client: httpx.AsyncClient) -> AsyncIterator[Callable[..., Awaitable[Person]]]:
    """Makes somebody of a role: `await person("agent")`, `await person("service", scopes=["tickets:read"])`."""
    open_clients: list[httpx.AsyncClient] = []

    async def make(role: str, **extra: Any) -> Person:
        id_ = None
        if role in ("agent", "lead") and "agent_id" not in extra:
            id_ = extra["agent_id"] = (await client.post("/v1/agents", json={"name": f"A {role}"})).json()["id"]
        if role == "customer" and "customer_id" not in extra:
            made = await client.post("/v1/customers", json={"name": "A customer"})
            id_ = extra["customer_id"] = made.json()["id"]
        answer = await client.post("/v1/api-keys", json={"name": role, "role": role, **extra})
        assert answer.status_code == 201, answer.text
        key = answer.json()["key"]
        transport = httpx.ASGITransport(app=hanging_up(app), raise_app_exceptions=False)
        http = httpx.AsyncClient(
            transport=transport, base_url="http://ninety.test", headers={"Authorization": f"Bearer {key}"}
        )
        open_clients.append(http)
        id_ = id_ or extra.get("agent_id") or extra.get("customer_id")
        return Person(UUID(str(id_)) if id_ else None, key, http)

    yield make
    for http in open_clients:
        await http.aclose()


@pytest.fixture
async def open_ticket(client: httpx.AsyncClient) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Opens a ticket as the administrator, for a customer of its own unless told otherwise."""

    async def make(**body: Any) -> dict[str, Any]:
        whole = {"subject": "Charged twice", "description": "Please help.", **body}
        whole.setdefault("customer", {"external_id": secrets.token_hex(6)})
        answer = await client.post("/v1/tickets", json=whole)
        assert answer.status_code == 201, answer.text
        ticket: dict[str, Any] = answer.json()
        return ticket

    return make


@pytest.fixture
async def tx(db: Database) -> AsyncIterator[Transaction]:
    async with db.transaction() as transaction:
        yield transaction


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A plain connection to the test's database, to look behind the API."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


def on_database(url: str, name: str) -> str:
    """The same server's URL with another database."""
    head, _, tail = url.partition("://")
    place, slash, rest = tail.partition("/")
    query = rest.partition("?")[2] if slash else ""
    return f"{head}://{place}/{name}" + (f"?{query}" if query else "")


def administer(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    # In a thread: fixtures ask for it that run in a loop of their own.
    with ThreadPoolExecutor(1) as aside:
        aside.submit(lambda: asyncio.run(run())).result()


@pytest.fixture(scope="module")
async def world(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["World"]:
    """The service on a database of its own and a caller of each role. Shared by a module."""
    from tests.support.world import a_world

    async with a_world(databases, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
async def desk(world: "World") -> "Desk":
    """People at work on tickets. Shared by a module: each test works on tickets of its own."""
    from tests.support.desk import a_desk

    return await a_desk(world)
