"""What one caller may take, and what goes first where there is too much to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.errors import AppError
from app.main import create_app
from app.settings import Settings
from app.web import limits
from app.web.admission import BULK, HEAVY, READ, VITAL, WORK, Admission, Cost, Costs
from app.web.limits import HEADERS, Limits, Place, RateLimited, TooManyAtOnce
from tests.conftest import ADMIN_KEY, Person, client_for
from tests.support.expect import problem

UUID7 = "0194b2e4-aaaa-7000-8000-000000000000"


@dataclass(frozen=True)
class Somebody:
    id: UUID
    role: str = "customer"
    bearer: UUID | None = None

    @property
    def bearer_id(self) -> UUID:
        return self.bearer or self.id


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    return made


def _told(used: Limits, who: Somebody) -> tuple[str, AppError | None]:
    scope: dict[str, Any] = {}
    refused = None
    try:
        used.count(scope, who)
    except RateLimited as error:
        refused = error
    return scope[HEADERS].headers(None)[0][1].decode().partition(", ")[0], refused


async def _placed(used: Limits, who: Somebody, cost: Cost = READ) -> Place:
    place = used.place({}, who)
    with place:
        await place.take(cost)
    return place


def test_a_caller_has_a_quota_that_comes_back_by_the_second(clock: Clock) -> None:
    used, who, other = Limits(Settings(rate_limit_customer=60)), Somebody(uuid4()), Somebody(uuid4())
    told = [_told(used, who) for _ in range(60)]
    assert (told[0][0], told[-1][0]) == ('"customer";r=59;t=1', '"customer";r=0;t=60')
    assert [refused for _, refused in told if refused] == []
    header, refused = _told(used, who)
    assert header == '"customer";r=0;t=60'
    assert refused is not None
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (429, "rate_limited", "1")
    assert refused.detail == "at most 60 a minute: wait 1 s"
    assert _told(used, other)[1] is None
    clock.now += 0.9
    assert _told(used, who)[1] is not None
    # What was refused has cost nothing.
    clock.now += 0.1
    assert [_told(used, who)[1] is None for _ in range(2)] == [True, False]
    clock.now += 3_600
    assert _told(used, who)[0] == '"customer";r=59;t=1'


async def test_several_tokens_of_one_person_have_one_quota_for_each_role(clock: Clock) -> None:
    used, bearer = Limits(Settings(rate_limit_customer=2, rate_limit_agent=2, caller_concurrency=1)), uuid4()
    first, second = (Somebody(uuid4(), "customer", bearer) for _ in range(2))
    assert [_told(used, who)[1] is None for who in (first, second, first)] == [True, True, False]
    assert _told(used, Somebody(uuid4(), "agent", bearer))[0] == '"agent";r=1;t=30'
    await _placed(used, first)
    with pytest.raises(TooManyAtOnce):
        await _placed(used, second)


def test_it_says_how_long_to_wait(clock: Clock) -> None:
    used, who = Limits(Settings(rate_limit_customer=6)), Somebody(uuid4())
    for _ in range(6):
        _told(used, who)
    refused = _told(used, who)[1]
    assert refused is not None
    assert refused.headers["Retry-After"] == "10"
    clock.now += 7.5
    refused = _told(used, who)[1]
    assert refused is not None
    assert refused.headers["Retry-After"] == "3"


async def test_who_has_a_request_under_way_is_not_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_CALLERS", 10)
    used, busy = Limits(Settings(caller_concurrency=1)), Somebody(uuid4())
    await _placed(used, busy)
    for _ in range(30):
        clock.now += 3_600
        _told(used, Somebody(uuid4()))
    with pytest.raises(TooManyAtOnce):
        await _placed(used, busy)


async def test_what_one_may_not_do_counts_as_well(app: FastAPI, person: Callable[..., Awaitable[Person]]) -> None:
    customer = await person("customer")
    left = []
    for _ in range(2):
        answer = await customer.http.get("/v1/agents")
        assert answer.status_code == 403
        left.append(answer.headers["ratelimit"].partition(", ")[0])
    assert left == ['"customer";r=5999;t=1', '"customer";r=5998;t=1']


async def test_callers_are_remembered_in_bounds_and_who_is_limited_stays_so(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MOST_CALLERS", 100)
    used, greedy = Limits(Settings(rate_limit_customer=600)), Somebody(uuid4())
    while _told(used, greedy)[1] is None:
        pass
    for _ in range(1_000):
        clock.now += 0.09
        _told(used, Somebody(uuid4()))
        assert len(used._uses) <= 100
        assert (greedy.id, greedy.role) in used._uses or clock.now > 1_060
    for _ in range(150):
        await _placed(used, Somebody(uuid4()))
    assert len(used._uses) <= 100


async def test_so_many_of_a_caller_at_once_and_no_more() -> None:
    used, who = Limits(Settings(caller_concurrency=2)), Somebody(uuid4())
    first, second = await _placed(used, who), await _placed(used, who)
    with pytest.raises(TooManyAtOnce) as refused:
        await _placed(used, who)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    await _placed(used, Somebody(uuid4()))
    first.leave()
    first.leave()
    second.leave()
    places = [await _placed(used, who) for _ in range(2)]
    with pytest.raises(TooManyAtOnce):
        await _placed(used, who)
    assert [place.taken for place in places] == [1, 1]


async def test_a_short_burst_of_a_caller_waits_in_line_and_is_served_in_order() -> None:
    used, who = Limits(Settings(caller_concurrency=4)), Somebody(uuid4())
    places, served = [await _placed(used, who) for _ in range(4)], list[int]()

    async def ask(number: int) -> None:
        mine = await _placed(used, who)
        served.append(number)
        mine.leave()

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(ask(number))
        await asyncio.sleep(0.01)
        assert served == []
        places[0].leave()
    assert served == list(range(20))


async def test_who_gives_up_waiting_leaves_no_place_behind() -> None:
    used, who = Limits(Settings(caller_concurrency=1)), Somebody(uuid4())
    place = await _placed(used, who)
    gone = asyncio.create_task(_placed(used, who))
    await asyncio.sleep(0.01)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    # One whose turn comes in the instant in which it is cancelled gives it back.
    torn = asyncio.create_task(_placed(used, who))
    await asyncio.sleep(0.01)
    place.leave()
    torn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await torn
    (await _placed(used, who)).leave()


async def test_the_line_of_a_caller_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_COMING_SHARES", 3)
    used, who = Limits(Settings(caller_concurrency=1)), Somebody(uuid4())
    await _placed(used, who)
    asked = await asyncio.gather(*(_placed(used, who) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in asked] == [TooManyAtOnce] * 5
    assert used.place({}, who)._use.coming == 0


async def test_heavy_ones_leave_their_caller_half_of_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_HEAVY_LINE_SECONDS", 0.01)
    used, who = Limits(Settings()), Somebody(uuid4())
    heavy = [await _placed(used, who, HEAVY) for _ in range(2)]
    with pytest.raises(TooManyAtOnce):
        await _placed(used, who, HEAVY)
    light = [await _placed(used, who) for _ in range(6)]
    with pytest.raises(TooManyAtOnce):
        await _placed(used, who)
    for place in (*heavy, *light):
        place.leave()
    await _placed(used, who, HEAVY)


async def test_an_answer_says_how_many_more_there_may_be_at_once() -> None:
    used, who, scope = Limits(Settings(caller_concurrency=3)), Somebody(uuid4()), dict[str, Any]()
    used.count(scope, who)
    mine, _ = await _placed(used, who), await _placed(used, who)
    (_, left), (_, policy) = scope[HEADERS].headers(mine)
    assert left == b'"customer";r=5999;t=1, "concurrency";r=2'
    assert policy == b'"customer";q=6000;w=60, "concurrency";q=3;qu="concurrent-requests"'


def test_what_may_come_in_is_less_the_more_there_is() -> None:
    admission, most = Admission(8, Costs()), {}
    for cost in (VITAL, WORK, READ, BULK):
        admission.running = 0
        while admission.running < 100 and not admission.refuses(cost):
            admission.running += 1
        most[cost] = admission.running
    assert most == {VITAL: 100, WORK: 8, READ: 6, BULK: 4}


def _layer(app: FastAPI) -> Any:
    layer: Any = app.middleware_stack or app.build_middleware_stack()
    while not hasattr(layer, "_admission"):
        layer = layer.app
    return layer


@asynccontextmanager
async def _started(database_url: str, directory: Path, **settings: Any) -> AsyncIterator[FastAPI]:
    common: dict[str, Any] = {"database_url": database_url, "admin_key": ADMIN_KEY, "data_dir": directory}
    app = create_app(Settings(**common, worker=False, **settings))
    async with app.router.lifespan_context(app):
        yield app


PAGE = "https://desk.example"


async def test_limits_and_pages_from_end_to_end(database_url: str, tmp_path: Path) -> None:
    settings = {"rate_limit_admin": 6, "concurrency": 4, "cors_origins": (PAGE,), "hsts_seconds": 600}
    async with _started(database_url, tmp_path, **settings) as app, client_for(app, ADMIN_KEY) as http:
        body = {"subject": "x", "customer": {"external_id": "c"}}
        good = await http.get("/v1/tickets", headers={"Origin": PAGE})
        assert good.headers["ratelimit-policy"] == '"admin";q=6;w=60, "concurrency";q=1;qu="concurrent-requests"'
        assert good.headers["ratelimit"] == '"admin";r=5;t=10, "concurrency";r=1'
        assert good.headers["strict-transport-security"] == "max-age=600; includeSubDomains"
        _may_be_read(good)
        # A refusal of any kind counts and says so, too.
        assert (await http.post("/v1/tickets", json={})).headers["ratelimit"].startswith('"admin";r=4;')
        await _shedding(app, http, body)
        for _ in range(6):
            last = await http.get("/v1/tickets", headers={"Origin": PAGE})
        problem(last, 429, "rate_limited")
        assert 1 <= int(last.headers["retry-after"]) <= 10
        _may_be_read(last)
        await _preflights(http)


async def test_so_many_of_a_caller_over_http_and_no_request_for_longer_than_it_may(
    database_url: str, tmp_path: Path
) -> None:
    """Both while somebody else holds the row that everybody wants."""
    async with (
        _started(
            database_url, tmp_path, caller_concurrency=2, request_seconds=1.5, statement_timeout_seconds=60
        ) as app,
        client_for(app, ADMIN_KEY) as http,
    ):
        body = {"subject": "x", "customer": {"external_id": "c"}}
        ticket = (await http.post("/v1/tickets", json=body)).json()
        path = f"/v1/tickets/{ticket['id']}"
        holding = await asyncpg.connect(database_url)
        async with holding.transaction(), asyncio.timeout(20):
            await holding.execute("SELECT 1 FROM tickets WHERE id = $1 FOR UPDATE", UUID(ticket["id"]))
            answers = await asyncio.gather(*(http.patch(path, json={"subject": f"{n}"}) for n in range(3)))
        await holding.close()
        late = [answer for answer in answers if answer.status_code == 503]
        assert sorted(answer.status_code for answer in answers) == [429, 503, 503]
        assert all("retry-after" in answer.headers for answer in answers)
        for answer in late:
            assert answer.headers["content-type"] == "application/problem+json"
        unchanged = (await http.get(path)).json()
        assert (unchanged["subject"], unchanged["version"]) == ("x", ticket["version"])
        # Nothing is left behind: the caller has their two again.
        again = await asyncio.gather(*(http.patch(path, json={"subject": "y"}) for _ in range(2)))
        assert [answer.status_code for answer in again] == [200, 200]


async def _shedding(app: FastAPI, http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    admission: Admission = _layer(app)._admission
    assert admission.running == 0
    admission.running = 2
    shed = await http.get("/v1/tickets", headers={"Origin": PAGE})
    problem(shed, 503, "overloaded")
    assert shed.headers["retry-after"] == "1"
    _may_be_read(shed)
    assert (await http.post("/v1/tickets", json=body)).status_code == 201
    assert (await http.get("/livez")).status_code == 200
    admission.running = 4
    problem(await http.post("/v1/tickets", json=body), 503, "overloaded")
    assert (await http.get("/livez")).status_code == 200
    # A browser whose question is refused asks no more.
    await _preflights(http)
    # Neither answers nor failures leave anything behind.
    await asyncio.gather(*(http.get("/v1/nothing") for _ in range(3)))
    assert admission.running == 4
    admission.running = 0


_ASKED = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, traceparent, tracestate"


async def _preflights(http: httpx.AsyncClient) -> None:
    asks = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": _ASKED}
    yes = await http.options("/v1/tickets", headers={"Origin": PAGE, **asks})
    assert yes.status_code == 200
    assert yes.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-credentials" not in yes.headers
    assert yes.headers["x-content-type-options"] == "nosniff"
    assert yes.headers["x-request-id"]
    stranger = await http.options("/v1/tickets", headers={"Origin": PAGE, **asks, "Authorization": "Bearer nobody"})
    assert stranger.status_code == 200
    for origin in ("https://desk.example.evil.example", "http://desk.example", "null", f"{PAGE}:8443"):
        no = await http.options("/v1/tickets", headers={"Origin": origin, **asks})
        problem(no, 400, "origin_refused")
        assert "access-control-allow-origin" not in no.headers
        assert "access-control-allow-origin" not in (await http.get("/livez", headers={"Origin": origin})).headers


def _may_be_read(answer: httpx.Response) -> None:
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-credentials" not in answer.headers
    shown = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert shown >= {"ETag", "Location", "Link", "Next-Position", "RateLimit", "Retry-After", "X-Request-ID"}


async def test_a_browser_is_told_to_be_careful_and_gets_no_cookie(app: FastAPI) -> None:
    async with client_for(app, ADMIN_KEY) as http:
        answers = {path: await http.get(path) for path in ("/v1/tickets", "/v1/nothing", "/livez", "/docs")}
    for path, answer in answers.items():
        headers = answer.headers
        assert headers["x-frame-options"] == "DENY", path
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "no-store" in headers["cache-control"]
        assert len(headers.get_list("content-security-policy")) == 1
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert not {"set-cookie", "server", "strict-transport-security", "access-control-allow-origin"} & set(headers)
    policy = answers["/docs"].headers["content-security-policy"]
    # Its one script by hash; from nowhere but here.
    assert policy.count("'sha256-") == 1
    assert "http" not in policy
    sources = policy.partition("script-src ")[2].partition(";")[0].split()
    assert sources[0] == "'self'"
    assert [source[:8] for source in sources[1:]] == ["'sha256-"]
