"""A whole service over real sockets, and clients that mean no good."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
import jwt
import psutil  # type: ignore[import-untyped]
import pytest

from tests.conftest import Databases
from tests.faults.harness import ADMIN_KEY, directory, service
from tests.support.expect import problem
from tests.support.identity_provider import AUDIENCE, ISSUER, RS256, claims, jwk, new_key, pem
from tests.web.wire import answers, exchange, head

AUTH = f"Authorization: Bearer {ADMIN_KEY}"
MEGABYTE = 1024 * 1024
SIGNER = new_key(RS256)


class Server:
    def __init__(self, url: str, pid: int, log: Path, database_url: str) -> None:
        self.url, self.process, self.log, self.database_url = url, psutil.Process(pid), log, database_url

    async def ask(self, *parts: bytes, pause: float = 0.0) -> httpx.Response:
        [answer] = answers(await exchange(self.url, *parts, pause=pause))
        return answer


@pytest.fixture(scope="module")
def server(databases: Databases) -> Iterator[Server]:
    settings = {
        "NINETY_HEAD_SECONDS": "1",
        "NINETY_BODY_SECONDS": "1",
        "NINETY_CONNECTIONS": "200",
        "NINETY_CONCURRENCY": "4",
        "NINETY_CALLER_CONCURRENCY": "8",
        "NINETY_LOG_LEVEL": "debug",
        "NINETY_JWT_PUBLIC_KEY": pem(SIGNER),
        "NINETY_JWT_ISSUER": ISSUER,
        "NINETY_JWT_AUDIENCE": AUDIENCE,
    }
    with (
        databases() as url,
        directory() as place,
        service(place / "data", url, settings=settings) as (at, pid),
    ):
        yield Server(at, pid, place / "service.log", url)


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
        yield client


_HEADS = {
    "a plain one": (head("/v1/tickets", AUTH), 200, None),
    "a hundred headers": (head("/v1/tickets", AUTH, *(f"X-{n}: v" for n in range(97))), 200, None),
    "a hundred and one": (head("/v1/tickets", AUTH, *(f"X-{n}: v" for n in range(98))), 431, "headers_too_large"),
    "ten thousand headers": (head("/", *(f"X-{n}: v" for n in range(10_000))), 431, "headers_too_large"),
    "a long header": (head("/v1/tickets", AUTH, f"X: {'v' * 33_000}"), 431, "headers_too_large"),
    "a header without end": (head("/v1/tickets")[:-2] + b"X: " + b"v" * 500_000, 431, "headers_too_large"),
    "a long URL": (head("/v1/tickets?q=" + "x" * 9_000, AUTH), 414, "url_too_long"),
    "a URL without end": (b"GET /" + b"x" * 500_000, 414, "url_too_long"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed_request"),
    "two lengths": (head("/v1/tickets", "Content-Length: 1", "Content-Length: 2"), 400, "malformed_request"),
    "length and chunks": (
        head("/v1/tickets", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST"), 400, "malformed_request"
    ),
    "two slashes": (head("//v1/tickets", AUTH), 404, "not_found"),
    "dots": (head("/v1/x/../tickets", AUTH), 404, "not_found"),
    "dots in code": (head("/v1/%2e%2e/v1/tickets", AUTH), 404, "not_found"),
    "two keys": (head("/v1/tickets", AUTH, AUTH), 401, "unauthenticated"),
    "a key and a token": (head("/v1/tickets", AUTH, "Authorization: Basic eDp5"), 401, "unauthenticated"),
    "another method": (head("/livez", "X-HTTP-Method-Override: GET", method="PUT"), 405, "method_not_allowed"),
    "no host": (b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "malformed_request"),
    "no host long ago": (b"GET /livez HTTP/1.0\r\n\r\n", 200, None),
    "two hosts": (head("/livez", "Host: other"), 400, "malformed_request"),
    "two hosts long ago": (b"GET /livez HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", 400, "malformed_request"),
    "another version": (b"GET /livez HTTP/9.9\r\n\r\n", 400, "malformed_request"),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status", "code"), _HEADS.values(), ids=_HEADS)
async def test_a_head_is_read_or_refused_with_a_problem(
    server: Server, sent: bytes, status: int, code: str | None
) -> None:
    answer = await server.ask(sent)
    if code:
        problem(answer, status, code)
    assert answer.status_code == status
    assert "server" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_who_takes_too_long_is_not_waited_for(server: Server) -> None:
    post = head("/v1/tickets", AUTH, "Content-Type: application/json", "Content-Length: 1000", method="POST")
    kept = post.replace(AUTH.encode(), b"X: y").replace(b"close", b"keep-alive")
    silent, unfinished, dripping, bodiless, trickle, refused = await asyncio.gather(
        exchange(server.url),
        exchange(server.url, b"GET /livez HTTP/1.1\r\nHost"),
        exchange(server.url, *[b"\r\n"] * 40, pause=0.1),
        exchange(server.url, post),
        exchange(server.url, post, *[b" "] * 40, pause=0.1),
        exchange(server.url, kept, *[b" "] * 40, pause=0.1),
    )
    assert (silent, unfinished, dripping) == (b"", b"", b"")
    for said in (bodiless, trickle):
        [answer] = answers(said)
        problem(answer, 408, "body_too_slow")
    # Its answer is one and whole, and the rest of its body keeps nothing open.
    [answer] = answers(refused)
    assert answer.status_code == 401


async def test_a_slow_body_that_moves_is_read(server: Server) -> None:
    body = json.dumps({"subject": "x", "customer": {"external_id": "slow"}}).encode()
    lines = (AUTH, "Content-Type: application/json", f"Content-Length: {len(body)}")
    parts = [body[n : n + 20] for n in range(0, len(body), 20)]
    assert (await server.ask(head("/v1/tickets", *lines, method="POST"), *parts, pause=0.05)).status_code == 201


async def test_head_leaves_the_connection_as_it_was(server: Server) -> None:
    kept = head("/livez", method="HEAD").replace(b"close", b"keep-alive")
    for path in ("/livez", "/v1/tickets", "/v1/nothing", "/v1/events/stream"):
        asked = kept.replace(b"/livez", path.encode()).replace(b"Host", AUTH.encode() + b"\r\nHost")
        first, second, body = (await exchange(server.url, asked, head("/livez"), pause=0.3)).split(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 404" if path == "/v1/nothing" else b"HTTP/1.1 200"), path
        assert b"connection: close" not in first
        assert second.startswith(b"HTTP/1.1 200")
        assert json.loads(body) == {"status": "alive"}
    log = server.log.read_text()
    assert "Content-Length" not in log
    assert re.search(r'"method":"HEAD","route":"/v1/tickets","status":200', log)


async def test_a_credential_behind_the_body_is_none(server: Server) -> None:
    post = head("/v1/teams", "Content-Type: application/json", "Transfer-Encoding: chunked", method="POST")
    for trailers in ([AUTH], [AUTH, "X: y"]):
        end = "\r\n".join(["2", "{}", "0", *trailers, "", ""]).encode()
        problem(await server.ask(post + end), 401, "unauthenticated")
        problem(await server.ask(post, end, pause=0.1), 401, "unauthenticated")


async def test_a_client_that_would_rather_speak_another_protocol_is_understood(server: Server) -> None:
    body = json.dumps({"subject": "x", "customer": {"external_id": "java"}}).encode()
    lines = (AUTH, "Content-Type: application/json", f"Content-Length: {len(body)}", "HTTP2-Settings: AAMAAABk")
    for name in ("h2c", "websocket"):
        post = head("/v1/tickets", *lines, f"Upgrade: {name}", method="POST")
        post = post.replace(b"Connection: close", b"Connection: close, Upgrade, HTTP2-Settings")
        assert (await server.ask(post + body)).status_code == 201
        assert (await server.ask(post, body, pause=0.1)).status_code == 201
    lines = (AUTH, "Upgrade: websocket", "Sec-WebSocket-Key: eDEyMzQ1Njc4OTAxMjM0NQ==", "Sec-WebSocket-Version: 13")
    asked = head("/v1/tickets", *lines).replace(b"close", b"close, Upgrade")
    assert (await server.ask(asked)).status_code == 200


async def test_a_busy_process_says_no_to_lists_and_goes_on(server: Server, http: httpx.AsyncClient) -> None:
    counted = await _shed(http)
    ticket = (await http.post("/v1/tickets", json={"subject": "x", "customer": {"external_id": "c"}})).json()
    holding = await asyncpg.connect(server.database_url)
    shed, calm = list[httpx.Response](), list[int]()
    async with holding.transaction():
        await holding.execute("SELECT 1 FROM tickets WHERE id = $1::text::uuid FOR UPDATE", ticket["id"])
        waiting = [
            asyncio.create_task(http.patch(f"/v1/tickets/{ticket['id']}", json={"subject": f"{n}"})) for n in range(2)
        ]
        for n in range(40):
            answer = await http.post("/v1/teams", content=b"{") if n % 2 else await http.get("/v1/tickets")
            shed.append(answer)
            calm.append((await http.get("/livez")).status_code)
    await holding.close()
    assert [(await task).status_code for task in waiting] == [200, 200]
    refused = [answer for answer in shed if answer.status_code == 503]
    assert refused
    assert await _shed(http) - counted == len(refused)
    for answer in refused:
        problem(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        assert answer.request.method == "GET"
    assert set(calm) == {200}
    assert (await http.get("/v1/tickets")).status_code == 200
    # Many in a row on one connection.
    said = await exchange(server.url, b"GET /v1/tickets HTTP/1.1\r\nHost: x\r\n\r\n" * 100 + head("/livez"))
    assert len(answers(said)) == 101


async def _shed(http: httpx.AsyncClient) -> float:
    # Figures are made once a second.
    await asyncio.sleep(1.05)
    figures = (await http.get("/metrics")).text
    return sum(float(each) for each in re.findall(r"^ninety_http_shed_total\{.*\} (\S+)$", figures, re.MULTILINE))


async def test_connections_are_bounded_and_come_back(server: Server) -> None:
    at = urlsplit(server.url)
    opened = [await asyncio.open_connection(at.hostname, at.port) for _ in range(200)]
    await asyncio.sleep(0.2)
    problem(await server.ask(), 503, "overloaded")
    for _, writer in opened:
        writer.close()
    await asyncio.sleep(0.2)
    assert (await server.ask(head("/livez"))).status_code == 200


def _attacks() -> Iterator[tuple[str, bytes]]:
    """Requests of one caller with a good key, each as costly as it can be made."""

    def post(path: str, body: bytes, *lines: str, kind: str = "application/json") -> bytes:
        lines = (AUTH, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *lines)
        return head(path, *lines, method="POST") + body

    def chunked(path: str, size: int) -> bytes:
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        lines = (AUTH, "Content-Type: application/json", "Transfer-Encoding: chunked")
        return head(path, *lines, method="POST") + chunk * (size // 65_536) + b"0\r\n\r\n"

    yield "brackets", post("/v1/tickets", b"[" * MEGABYTE)
    yield "brackets in pairs", post("/v1/tickets", b"[" + b"[]," * (MEGABYTE // 3 - 2) + b"[]]")
    yield "keys", post("/v1/tickets", json.dumps({f"k{n}": n for n in range(70_000)}).encode())
    yield "escapes", post("/v1/tickets", b'{"subject": "' + b"\\u0041" * 170_000 + b'"}')
    yield "digits", post("/v1/tickets", b'{"subject": ' + b"9" * 1_000_000 + b"}")
    yield "tags", post("/v1/tickets", json.dumps({"subject": "x", "tags": ["t"] * 100_000}).encode())
    yield "rule", post("/v1/sla-policies", json.dumps({"conditions": {"all": [{"any": []}] * 50_000}}).encode())
    yield "bulk", post("/v1/tickets/bulk", json.dumps({"tickets": [{"id": "x"}] * 60_000}).encode())
    yield "import of nothing", post("/v1/imports/tickets", b'{"tickets": [' + b"{}," * 5_000_000 + b"{}]}")
    yield "import of lines", post("/v1/imports/tickets", b"{}\n" * 5_000_000, kind="application/x-ndjson")
    yield "import of wrong lines", post("/v1/imports/tickets", b"x\n" * 8_000_000, kind="application/x-ndjson")
    yield "import of empty lines", post("/v1/imports/tickets", b"\r" * 16_000_000, kind="application/x-ndjson")
    yield "import of blanks", post("/v1/imports/tickets", b" " * 16 * MEGABYTE)
    yield "too large", post("/v1/tickets", b" " * 50 * MEGABYTE)
    yield "too large in chunks", chunked("/v1/imports/tickets", 50 * MEGABYTE)
    yield "file", post("/v1/tickets/0194b2e4-aaaa-7000-8000-000000000000/attachments?name=x", b"x" * 10 * MEGABYTE)
    yield "search", head("/v1/tickets?q=" + "a+b-" * 1_900, AUTH)
    yield "quotes", head("/v1/tickets?q=" + "%22" * 2_500, AUTH)
    yield "filters", head("/v1/tickets?" + "&".join(["status=open"] * 650), AUTH)
    yield "cursor", head("/v1/tickets?cursor=" + "A" * 7_500, AUTH)
    yield "accept", head("/v1/reports/response-times?metric=first_response", AUTH, "Accept: " + "a/b;q=0.1," * 3_000)
    yield "etags", head("/v1/tickets", AUTH, "If-None-Match: " + '"x",' * 7_500)
    yield "headers", head("/v1/tickets", AUTH, *(f"X-{n}: {'v' * 20}" for n in range(10_000)))
    yield "token", head("/v1/tickets", f"Authorization: Bearer {'a' * 10_000}.{'b' * 10_000}.{'c' * 10_000}")
    yield "pages", head("/v1/tickets?limit=200", AUTH)


async def test_one_request_costs_bounded_memory_and_time(server: Server, http: httpx.AsyncClient) -> None:
    """P21. Time: each is answered or cut off before `exchange` gives up."""
    for _ in range(20):
        assert (await http.get("/v1/tickets")).status_code == 200
    idle = peak = server.process.memory_info().rss
    statuses: dict[str, list[int]] = {}
    over = asyncio.Event()

    async def watch() -> None:
        nonlocal peak
        while not over.is_set():
            peak = max(peak, server.process.memory_info().rss)
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    for name, attack in _attacks():
        try:
            said = await exchange(server.url, attack)
        except TimeoutError:
            pytest.fail(f"{name}: neither answered nor cut off")
        statuses[name] = [answer.status_code for answer in answers(said)]
    over.set()
    await watching
    print(f"RSS: idle {idle / MEGABYTE:.0f} MB, peak {peak / MEGABYTE:.0f} MB; {statuses}")
    assert peak < 1.5 * idle + 64 * MEGABYTE
    assert {status for each in statuses.values() for status in each} <= {200, 400, 401, 404, 413, 414, 422, 431}
    assert (await http.get("/v1/tickets")).status_code == 200


async def test_no_secret_is_in_what_the_service_says_of_itself(server: Server, http: httpx.AsyncClient) -> None:
    """Over the real thing: its log on stderr, its figures, its documentation, and its problems."""
    token = jwt.encode(claims(sub="canary-subject"), SIGNER, RS256)
    stranger = jwt.encode(claims(sub="canary-stranger"), new_key(RS256), RS256, {"jwk": jwk(SIGNER, RS256)})
    wrong_key = ADMIN_KEY[:-6] + "canary"
    told: list[str] = []
    for credential in (ADMIN_KEY, token, stranger, wrong_key, f"{token} {token}"):
        headers = {"Authorization": f"Bearer {credential}", "X-Request-ID": "r"}
        for path in ("/v1/tickets", "/v1/nothing", "/v1/events/stream"):
            answer = await http.get(path, headers=headers, params={"ticket": "canary-ticket", "q": "canary-query"})
            told.append(answer.text)
        answer = await http.post("/v1/tickets", headers=headers, json={"subject": "canary-subject", "x": "canary-x"})
        told.append(answer.text)
        told.append((await http.post("/v1/tickets", headers=headers, content=b"{canary-body")).text)
    bad = head("/v1/tickets?ticket=canary-ticket", f"Authorization: Bearer {token}", "X\x01: canary-header")
    told.append((await server.ask(bad)).text)
    told += [(await http.get(path)).text for path in ("/metrics", "/docs", "/openapi.json", "/readyz")]
    log = server.log.read_text()
    assert '"event":"request"' in log
    assert (await http.get("/v1/tickets", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    password = unquote(urlsplit(server.database_url).password or "") or "canary-no-password"
    secrets = [ADMIN_KEY[-43:], *token.split(".")[1:], stranger.split(".")[2], "canary", password]
    for text in (log, *told):
        assert [secret for secret in secrets if secret in text] == []
