"""Every answer that is not a 2xx is a problem document."""

import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.errors import every_error
from app.web.problems import as_problem, from_fault, pointer
from tests.conftest import ADMIN_KEY, Person, client_for
from tests.support.expect import problem
from tests.support.openapi import METHODS, Open, operations
from tests.web import raw

Make = Callable[..., Awaitable[Person]]
JSON = [(b"content-type", b"application/json")]
NOBODY = "01900000-0000-7000-8000-000000000000"
BESIDE_AN_ID = ("/v1/sla-policies/explain", "/v1/business-calendars/compute", "/v1/tickets/bulk")


ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
NO_ROUTES = (
    "/v1",
    "/v2/tickets",
    "/v1/tickets/",
    "//v1/tickets",
    "/v1//tickets",
    "/v1/../v1/tickets",
    "/v1/nothing",
    "/v1/tickets\0",
    "/V1/TICKETS",
    "/v1/tickets/x/y/z",
    "/openapi.yaml",
    "/redoc",
    "/docs/",
    "/.env",
    "/v1/tickets%2f",
    "/\N{SNOWMAN}",
    "*",
    "",
)


async def test_an_unknown_route_is_a_problem(app: FastAPI) -> None:
    for method, path in itertools.product(ALL_METHODS, NO_ROUTES):
        answer = await raw.send(app, method, path, key=ADMIN_KEY)
        if method == "HEAD":
            assert (answer.status_code, answer.content) == (404, b"")
        else:
            problem(answer, 404, "not_found")


async def test_a_path_that_nearly_is_one_says_what_was_meant(app: FastAPI, client: httpx.AsyncClient) -> None:
    for path, meant in (
        ("/v1/tickets/", "/v1/tickets"),
        ("//v1/tickets", "/v1/tickets"),
        ("/tickets", "/v1/tickets"),
        ("/reports/backlog/", "/v1/reports/backlog"),
        (f"/v1/tickets/{NOBODY}/", f"/v1/tickets/{NOBODY}"),
        ("/livez/", "/livez"),
        ("/docs/", "/docs"),
    ):
        for method in ("GET", "POST"):
            told = problem(await raw.send(app, method, path, key=ADMIN_KEY), 404, "not_found")
            assert told["detail"] == f"there is nothing at this path; there is something at {meant}"
    for path in ("/v1/nothing/", "/v1/v1/tickets", "/v1//tickets", f"/{'x' * 300}/", "/", "/x\N{SNOWMAN}/"):
        told = problem(await raw.send(app, "POST", path, key=ADMIN_KEY))
        assert "something" not in told["detail"], path


async def test_null_where_none_is_taken_says_what_would_be_right(client: httpx.AsyncClient, open_ticket: Open) -> None:
    path = f"/v1/tickets/{(await open_ticket())['id']}"
    for body, said in (
        ({"tags": None}, "/tags: Input should be a valid list, not null: leave it out, or write [] for none"),
        ({"custom_fields": None}, "valid dictionary, not null: leave it out, or write {}"),
        ({"subject": None}, "/subject: Input should be a valid string, not null: leave it out"),
        ({"tags": ["a", None]}, "/tags/1: Input should be a valid string, not null: leave it out"),
        ({"priority": None}, "'low', 'normal', 'high' or 'urgent', not null: leave it out"),
    ):
        told = problem(await client.patch(path, json=body), 422)
        assert said in told["detail"]
        assert told["errors"][0]["detail"] in told["detail"]
    assert "null" not in problem(await client.patch(path, json={"tags": "a"}), 422)["detail"]


@pytest.mark.parametrize("path", BESIDE_AN_ID)
async def test_a_wrong_method_on_a_word_beside_an_id_is_refused_too(client: httpx.AsyncClient, path: str) -> None:
    for wrong in ("GET", "PATCH", "DELETE", "PUT", "BREW"):
        answer = await client.request(wrong, path, json={})
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"


async def test_a_wrong_method_says_all_the_right_ones(app: FastAPI, client: httpx.AsyncClient) -> None:
    items = app.openapi()["paths"].items()
    paths = {path: set(item) & set(METHODS) for path, item in items if path not in BESIDE_AN_ID}
    for path, methods in paths.items():
        right = {method.upper() for method in methods} | ({"HEAD"} if "get" in methods else set())
        concrete = path.replace("{number}", "1").replace("{code}", "not_found")
        for name in (
            "ticket_id",
            "customer_id",
            "agent_id",
            "team_id",
            "policy_id",
            "calendar_id",
            "exception_id",
            "promise_id",
            "message_id",
            "job_id",
            "goal_id",
            "key_id",
            "external_id",
        ):
            concrete = concrete.replace("{" + name + "}", NOBODY)
        for wrong in {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - right:
            answer = await client.request(wrong, concrete)
            problem(answer, 405, "method_not_allowed")
            assert {word.strip() for word in answer.headers["allow"].split(",")} == right, (path, wrong)


async def test_a_wrong_method_on_the_documentation_is_a_problem_too(client: httpx.AsyncClient) -> None:
    for path in ("/docs", "/openapi.json", "/docs/static/swagger-ui.css"):
        answer = await client.post(path)
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD"


async def test_every_problem_type_leads_to_its_explanation(app: FastAPI) -> None:
    async with client_for(app, None) as nobody:
        for error in every_error():
            answer = await nobody.get(f"/problems/{error.code}")
            assert answer.status_code == 200, error.code
            found = answer.json()
            assert (found["code"], found["status"], found["title"]) == (error.code, error.status, error.title)
            assert len(found["explanation"]) > 20
        problem(await nobody.get("/problems/no_such_code"), 404, "not_found")


def test_codes_and_statuses_of_refusals_make_sense() -> None:
    for error in every_error():
        assert 400 <= error.status <= 599
        assert error.code == error.code.lower().replace(" ", "_")
        assert error.__doc__, f"{error.__name__} explains itself at /problems/{error.code}"


async def test_the_instance_is_the_path_that_was_asked_for(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert problem(await client.get(f"/v1/tickets/{NOBODY}?include=clocks"), 404)["instance"] == f"/v1/tickets/{NOBODY}"
    odd = problem(await raw.send(app, "GET", "/v1/a b?c#d\u00e9"), 404)
    assert odd["instance"] == "/v1/a%20b%3Fc%23d%C3%A9"


async def test_a_nonsensical_host_changes_nothing(app: FastAPI, open_ticket: Open) -> None:
    for _ in range(2):
        ticket = await open_ticket()
    for host in (b"[", b"[::1", b"a/b?c#d", b"\xff", b"", b"evil.example", b"x" * 9_000, b"user@evil:99999"):
        await _host_changes_nothing(app, ticket, [(b"host", host)])


async def _host_changes_nothing(app: FastAPI, ticket: dict[str, Any], headers: raw.Headers) -> None:
    missing = await raw.send(app, "GET", "/v1/nothing", headers=headers)
    assert problem(missing, 404)["instance"] == "/v1/nothing"
    wrong = await raw.send(app, "BREW", f"/v1/tickets/{ticket['id']}", headers=headers)
    problem(wrong, 405)
    assert wrong.headers["allow"] == "GET, HEAD, PATCH"
    page = await raw.send(app, "GET", "/v1/tickets", key=ADMIN_KEY, headers=headers, query=b"limit=1")
    assert page.links["next"]["url"].startswith("/v1/tickets?limit=1&cursor=")
    keyed = [*headers, *JSON, (b"idempotency-key", secrets.token_hex(8).encode())]
    body = b'{"subject": "x", "customer": {"external_id": "c"}}'
    made = await raw.send(app, "POST", "/v1/tickets", key=ADMIN_KEY, headers=keyed, chunks=[body])
    assert made.status_code == 201
    assert made.headers["location"].startswith("/v1/tickets/")


async def test_each_wrong_part_is_pointed_at(client: httpx.AsyncClient) -> None:
    body = {"subject": "", "tags": ["ok", ""], "a/b~c": 1, "customer": {"emial": "x"}, "priority": "asap"}
    found = problem(await client.post("/v1/tickets", json=body), 422, "invalid")
    pointers = {error["pointer"] for error in found["errors"]}
    assert pointers == {"/subject", "/tags/1", "/a~1b~0c", "/customer/emial", "/priority"}


async def test_wrong_queries_paths_and_headers_are_pointed_at_as_such(client: httpx.AsyncClient) -> None:
    for path, where in (
        ("/v1/tickets?limit=0&status=nope&misspelt=1", {"/query/limit", "/query/status/0", "/query/misspelt"}),
        ("/v1/tickets/by-number/9223372036854775808", {"/path/number"}),
        ("/v1/reports/response-times?from=2026-01-01T00:00:00", {"/query/from"}),
    ):
        found = problem(await client.get(path), 422, "invalid")
        assert {error["pointer"] for error in found["errors"]} == where


async def test_a_limit_outside_its_range_is_refused(client: httpx.AsyncClient) -> None:
    limits = ("-1", "0", "201", "1000000000", "1e2", "", "ten", "5.5", "９")
    for path, limit in itertools.product(("/v1/tickets", "/v1/customers", "/v1/sla-clocks"), limits):
        problem(await client.get(path, params={"limit": limit}), 422, "invalid")


def test_a_pointer_escapes_what_pointers_are_made_of() -> None:
    assert pointer(("body", "a/b", 0, "~")) == "/a~1b/0/~0"
    assert pointer(("body",)) == ""


async def test_a_conflict_does_not_tell_whose_value_it_is(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await client.post("/v1/customers", json={"external_id": "private-word", "name": "Somebody"})
    problem(answer, 409, "conflict")
    assert "private-word" not in answer.text


@pytest.mark.parametrize(
    ("sqlstate", "status", "code"),
    [
        ("23505", 409, "conflict"),
        ("23503", 409, "conflict"),
        ("23514", 422, "invalid"),
        ("23502", 422, "invalid"),
        ("22003", 422, "invalid"),
        ("22021", 422, "invalid"),
        ("54000", 422, "invalid"),
        ("57014", 503, "unavailable"),
        ("55P03", 503, "unavailable"),
        ("57P03", 503, "unavailable"),
        ("57P01", 503, "unavailable"),
        ("08003", 503, "unavailable"),
        ("08006", 503, "unavailable"),
        ("40P01", 503, "unavailable"),
        ("40001", 503, "unavailable"),
        ("53300", 503, "overloaded"),
        ("53100", 503, "unavailable"),
        ("25006", 503, "unavailable"),
        ("58030", 503, "unavailable"),
        ("42P01", 500, "internal_error"),
        ("XX000", 500, "internal_error"),
    ],
)
def test_a_fault_of_the_database_is_judged_by_its_state(sqlstate: str, status: int, code: str) -> None:
    fault = asyncpg.PostgresError.new({"C": sqlstate, "M": "secret detail of somebody"})
    assert fault.sqlstate == sqlstate
    told = from_fault(fault)
    assert (told.status, told.code) == (status, code)
    assert "secret" not in told.detail
    assert ("Retry-After" in told.headers) == (status == 503)


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("canary"),
        asyncpg.UniqueViolationError("canary"),
        asyncpg.DataError("canary"),
        asyncpg.UndefinedTableError("canary"),
        asyncpg.QueryCanceledError("canary"),
        asyncpg.CannotConnectNowError("canary"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_what_an_exception_says_is_told_to_nobody(fault: Exception) -> None:
    """Not to the caller and not to the log: it may quote a customer."""
    if isinstance(fault, asyncpg.UniqueViolationError):
        fault.detail = "Key (email)=(canary) already exists."
    with capture_logs() as logged:
        told = as_problem(from_fault(fault), "/").model_dump_json()
    assert logged
    assert "canary" not in told + str(logged)


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionRefusedError("x"),
        TimeoutError("x"),
        OSError("x"),
        asyncpg.InterfaceError("x"),
        asyncpg.InternalClientError("x"),
    ],
)
def test_a_database_that_cannot_be_reached_is_for_now(fault: Exception) -> None:
    told = from_fault(fault)
    assert told.status == 503
    assert "Retry-After" in told.headers


async def test_without_a_valid_key_everything_says_so_alike(app: FastAPI) -> None:
    key = ADMIN_KEY[:-1] + ("a" if ADMIN_KEY[-1] != "a" else "b")
    for headers in (
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic YTpi")],
        [(b"authorization", f"Bearer {key}".encode())],
        [(b"authorization", b"Bearer eyJhbGciOiJub25lIn0.e30.")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", f"Bearer {ADMIN_KEY}".encode())] * 2,
        [(b"authorization", f"Bearer {ADMIN_KEY}\0".encode())],
        [(b"authorization", f"Bearer {ADMIN_KEY}, x".encode())],
        [(b"authorization", b"Bearer " + b"x" * 60_000)],
    ):
        for operation in operations(app):
            if operation.scopes:
                path = operation.url({**dict.fromkeys(operation.path_names, NOBODY), "number": 1})
                answer = await raw.send(app, operation.method, path, headers=headers)
                problem(answer, 401, "unauthenticated")
                assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_role_without_the_scope_is_told_which_before_its_body_is_read(person: Make) -> None:
    customer = await person("customer")
    for path in ("/v1/customers", "/v1/teams", "/v1/imports/tickets", "/v1/api-keys"):
        found = problem(await customer.http.post(path, content=b"not json"), 403, "forbidden")
        assert ":write" in found["detail"]
