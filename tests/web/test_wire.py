"""The protocol under the application, over real sockets: what it reads, what it refuses, and when it hangs up."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from app.http_server.protocol import BoundedProtocol
from app.settings import Settings
from app.web.admission import Admission, Costs
from app.web.edge import ALWAYS, EdgeMiddleware
from tests.support.expect import problem
from tests.support.wire_server import (
    BUSY,
    CHUNKED,
    CLOSE,
    HOST,
    MEGABYTE,
    Hasty,
    Service,
    connect,
    get,
    post,
    serving,
    statuses,
)
from tests.web.wire import answers, exchange


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as made:
        yield made


# What comes first, what then comes for ever, and whether the answers to it are read.
_ENDLESS = {
    "fields": (get("/")[:-2], b"a:\r\n", True),
    "a field": (get("/")[:-2] + b"a: ", b"xxxx", True),
    "the name of a field": (get("/")[:-2], b"xxxx", True),
    "a URL": (b"GET /", b"xxxx", True),
    "trailers": (CHUNKED + b"0\r\n", b"a:\r\n", True),
    "a trailer": (CHUNKED + b"0\r\na: ", b"xxxx", True),
    "a chunk's extension": (CHUNKED + b"1;", b"xxxx", True),
    "extensions of chunks": (CHUNKED, b"1;" + b"x" * 500 + b"\r\nx\r\n", True),
    "fields behind a stream": (get("/stream") + get("/")[:-2], b"a:\r\n", True),
    "a field behind a stream": (get("/stream") + get("/")[:-2] + b"a: ", b"xxxx", True),
    "trailers behind a stream": (get("/stream") + CHUNKED + b"0\r\n", b"a:\r\n", True),
    "requests behind a stream": (get("/stream"), get("/"), True),
    "bodies behind a stream": (get("/stream"), post("/", "Content-Length: 9000") + b"x" * 9_000, True),
    "bodies": (b"", post("/", "Content-Length: 60000") + b"x" * 60_000, True),
    "fields behind what nobody reads": (get("/some") * 9 + get("/")[:-2], b"a:\r\n", False),
    "requests behind what nobody reads": (get("/some") * 9, get("/"), False),
    "bodies behind what nobody reads": (get("/some"), post("/some", "Content-Length: 60000") + b"x" * 60_000, False),
}


@pytest.mark.parametrize(("first", "again", "reads"), _ENDLESS.values(), ids=_ENDLESS)
async def test_what_never_ends_is_cut_off_and_kept_nowhere(
    service: Service, first: bytes, again: bytes, reads: bool
) -> None:
    reader, writer = await connect(service.url)
    again *= 65_536 // len(again) + 1
    tracemalloc.start()

    async def write() -> None:
        writer.write(first)
        with suppress(ConnectionError):
            for _ in range(8 * MEGABYTE // len(again)):
                writer.write(again)
                await writer.drain()

    async def read() -> None:
        with suppress(ConnectionError):
            while reads and await reader.read(4096):
                pass

    with suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            await asyncio.gather(write(), read())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    writer.transport.abort()
    assert peak < 2 * MEGABYTE
    # Whoever waits here for the answers of others is told that nobody is there any more.
    await service.connections(0)


async def test_who_is_refused_again_and_again_and_reads_nothing_is_kept_waiting() -> None:
    busy = Admission(4, Costs())
    busy.running = BUSY
    async with serving(admission=busy) as service:
        _, writer = await connect(service.url)
        tracemalloc.start()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(1):
                for _ in range(200):
                    writer.write(get("/v1/tickets") * 1_000)
                    await writer.drain()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        writer.transport.abort()
        assert peak < 2 * MEGABYTE


async def test_a_slow_but_steady_reader_gets_all_of_a_long_answer() -> None:
    """It takes more than twice as long as one may read nothing."""
    async with serving(protocol=Hasty) as service:
        reader, writer = await connect(service.url)
        writer.write(get("/large", CLOSE))
        began, got, rest_at = asyncio.get_running_loop().time(), 0, 0
        while chunk := await reader.read(MEGABYTE):
            got += len(chunk)
            if got >= rest_at:
                rest_at += MEGABYTE
                await asyncio.sleep(0.06)
        assert asyncio.get_running_loop().time() - began > 2 * Hasty.stalled_seconds
        assert got > 20 * MEGABYTE
        writer.close()


async def test_who_reads_nothing_is_hung_up_on_first_where_too_much_lies_unread() -> None:
    class Small(BoundedProtocol):
        most_unread_bytes = 10 * MEGABYTE

    async with serving(protocol=Small) as service:
        _, idle = await connect(service.url)
        reader, steady = await connect(service.url)
        for writer in (idle, steady):
            writer.write(get("/large"))
        got = 0
        for number in range(1, 21):
            while got < number * MEGABYTE and (chunk := await reader.read(MEGABYTE)):
                got += len(chunk)
            await asyncio.sleep(0.06)
        assert got > 20 * MEGABYTE - 1
        await service.connections(1)
        steady.close()
        idle.transport.abort()


async def test_a_hundred_requests_may_wait_behind_one(service: Service) -> None:
    service.open_in(0.3)
    said = await exchange(service.url, get("/gate") + get("/") * 99 + get("/", CLOSE))
    assert statuses(said) == [200] * 101
    # Large heads, of which none is too large.
    said = await exchange(service.url, *[get("/", f"X: {'x' * 30_000}")] * 3, get("/", CLOSE), pause=0.1)
    assert statuses(said) == [200] * 4
    service.gate.clear()
    service.open_in(0.3)
    # One more is one too many, and those before it are answered nevertheless.
    said = await exchange(service.url, get("/gate") + get("/") * 101)
    assert statuses(said) == [200] * 101


async def test_a_field_behind_the_body_is_not_one_of_the_head(service: Service) -> None:
    sent = post("/", CLOSE, "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n"
    [answer] = answers(await exchange(service.url, sent + b"Authorization: Bearer x\r\nB: c\r\n\r\n"))
    assert answer.json()["headers"] == ["host", "connection", "transfer-encoding"]
    # Nor of that of the next one.
    sent = CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + get("/", CLOSE)
    _, answer = answers(await exchange(service.url, sent))
    assert answer.json()["headers"] == ["host", "connection"]
    [answer] = answers(await exchange(service.url, CHUNKED + b"0\r\n" + b"A: b\r\n" * 99 + b"\r\n"))
    problem(answer, 431, "headers_too_large")


_UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    "websocket": ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"),
    "twice": ("Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"),
}


@pytest.mark.parametrize("lines", _UPGRADES.values(), ids=_UPGRADES)
async def test_another_protocol_may_be_asked_for_in_vain(service: Service, lines: tuple[str, ...]) -> None:
    whole = post("/a", *lines, "Content-Length: 5") + b"abcde"
    chunked = post("/b", *lines, "Transfer-Encoding: chunked") + b"5\r\nabcde\r\n0\r\n\r\n"
    sent = whole + chunked + get("/c", *lines) + get("/d", CLOSE)
    for cut in (len(sent), 10, len(whole) - 6, len(whole) - 5, len(whole) - 2, len(whole) + 3, len(sent) - 70):
        given = [answer.json() for answer in answers(await exchange(service.url, sent[:cut], sent[cut:], pause=0.05))]
        assert [each["path"] for each in given] == ["/a", "/b", "/c", "/d"], cut
        assert [each["body"] for each in given] == ["abcde", "abcde", "", ""], cut
    said = await exchange(service.url, get("/", *lines) * 99 + get("/", CLOSE))
    assert statuses(said) == [200] * 100
    [refused] = answers(await exchange(service.url, post("/", *lines, "Content-Length: x")))
    problem(refused, 400, "malformed_request")


async def test_it_is_no_proxy(service: Service) -> None:
    for target in (b"x:443", b"/livez"):
        [answer] = answers(await exchange(service.url, b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"))
        problem(answer, 400, "malformed_request")


_BAD = {
    "no HTTP": b"BAD\x01\r\n\r\n",
    "too many fields": get("/", *["a: b"] * 101),
    "a long URL": get("/" + "x" * 9_000),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a bad body": CHUNKED + b"x\r\n",
    "a body without end": CHUNKED + b"1;" + b"x" * 500_000,
}


@pytest.mark.parametrize("bad", _BAD.values(), ids=_BAD)
@pytest.mark.parametrize("good", [b"", get("/"), get("/") * 3, get("/begun") + post("/", "Content-Length: 1") + b"x"])
async def test_a_bad_request_does_not_cost_the_answer_to_a_good_one(service: Service, good: bytes, bad: bytes) -> None:
    service.open_in(0.2)
    said = await exchange(service.url, get("/gate") + good, bad + get("/"), pause=0.05)
    assert said.count(b"HTTP/1.1 200") == 1 + good.count(HOST)
    assert said.count(b"HTTP/1.1") <= 2 + good.count(HOST)
    # Where nothing is being answered, it is told.
    said = await exchange(service.url, get("/"), bad, pause=0.05)
    answered, refused = answers(said)
    assert answered.status_code == 200
    assert problem(refused)["status"] in (400, 414, 431)


async def test_nothing_is_written_into_an_answer_that_has_begun(service: Service) -> None:
    begun = CHUNKED.replace(b"/", b"/begun", 1)
    for part in (b"x\r\n", b"0\r\n" + b"a:\r\n" * 200, b"1;" + b"x" * 100_000):
        said = await exchange(service.url, begun, part, pause=0.05)
        assert said.count(b"HTTP/1.1") == 1, part[:20]
    # Too slow a body, whose answer has begun.
    assert (await exchange(service.url, begun)).count(b"HTTP/1.1") == 1


async def test_the_time_of_a_body_is_by_what_it_holds(service: Service) -> None:
    part = b"1\r\nx\r\n" * 1_000
    async with asyncio.timeout(2.5):
        assert statuses(await exchange(service.url, CHUNKED, *[part] * 40, pause=0.05)) == [408]
    # Small chunks are fine where there is something in them, and so are many.
    part = b"a\r\n0123456789\r\n" * 1_000
    sent = post("/", CLOSE, "Transfer-Encoding: chunked")
    [answer] = answers(await exchange(service.url, sent, *[part] * 20, b"0\r\n\r\n", pause=0.06))
    assert len(answer.json()["body"]) == 200_000


async def test_a_body_that_we_do_not_read_is_not_late() -> None:
    async with serving(body_seconds=1) as service:
        service.open_in(1.2)
        waiting = post("/", CLOSE, "Content-Length: 4") + b"ab"
        said = await exchange(service.url, get("/gate") + waiting, b"cd", pause=1.65)
    assert [answer.json()["body"] for answer in answers(said)] == ["", "abcd"]


async def test_a_slow_head_is_not_waited_for_on_a_connection_in_use(service: Service) -> None:
    async with asyncio.timeout(5):
        for sent in (get("/")[:-2], b"\r\n", b"G"):
            assert statuses(await exchange(service.url, get("/"), sent, pause=0.1)) == [200]


@pytest.mark.parametrize("sent", [get("/large"), get("/large", CLOSE), get("/some", CLOSE), get("/stream") + get("/")])
async def test_who_reads_nothing_is_let_go(sent: bytes) -> None:
    async with serving(protocol=Hasty) as service:
        _, writer = await connect(service.url)
        writer.write(sent)
        await service.connections(1)
        if b"stream" in sent:
            # It has been read as far as it goes; but its reader leaves, while another request waits behind it.
            await asyncio.sleep(0.2)
            writer.close()
        await service.connections(0)
        async with asyncio.timeout(5):
            while b"stream" in sent and not service.left:
                await asyncio.sleep(0.01)
        writer.close()


async def test_who_reads_slowly_gets_it_all() -> None:
    async with serving(protocol=Hasty) as service:
        reader, writer = await connect(service.url)
        writer.write(get("/some", CLOSE))
        said = b""
        while part := await reader.read(5_000):
            said += part
            await asyncio.sleep(0.02)
        assert len(answers(said)[0].content) == 50_000
        writer.close()


@pytest.mark.parametrize("origins", ["", "https://page.example"])
async def test_a_shed_request_is_told_so_like_any_other_whoever_says_it(origins: str) -> None:
    """The protocol itself; or the frame, where web pages may ask."""
    busy = Admission(4, Costs())
    busy.running = BUSY
    settings = Settings(cors_origins=origins)
    async with serving(EdgeMiddleware(Service(), settings, busy), busy, cors_origins=origins) as service:
        shed: list[httpx.Response] = answers(await exchange(service.url, get("/v1/tickets") + get("/v1/teams", CLOSE)))
    assert len(shed) == 2
    for answer in shed:
        problem(answer, 503, "overloaded")
        expected = {name.decode(): value.decode() for name, value in ALWAYS}
        assert expected.items() <= dict(answer.headers).items()
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert len(answer.headers["x-request-id"]) == 32
    assert [answer.json()["instance"] for answer in shed] == ["/v1/tickets", "/v1/teams"]
