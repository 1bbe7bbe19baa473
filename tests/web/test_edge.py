"""What every answer has, whatever it says."""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx
from fastapi import FastAPI

from tests.conftest import ADMIN_KEY, client_for
from tests.support.expect import problem
from tests.support.openapi import Open, operations, things
from tests.web import raw

MADE = re.compile(r"[0-9a-f]{32}")


# A stream has no length (httpx says one for it); a time that runs on is written with more or fewer digits.
MOVING = (
    *("/stream", "/export"),
    *("clocks", "/explain", "/history", "/response-times", "/status", "/why", "/backlog", "/availability"),
)


async def test_head_is_get_without_the_body(app: FastAPI, client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    paths = [operation.url(ids) for operation in operations(app) if operation.method == "GET"]
    for path in (*paths, "/v1/tickets?limit=1", "/docs", "/openapi.json", "/docs/static/swagger-ui.css", "/v1/nothing"):
        # Not httpx's HEAD, which would drop a body itself.
        plain, _, query = path.partition("?")
        get, head = [
            await raw.send(app, method, plain, key=ADMIN_KEY, query=query.encode()) for method in ("GET", "HEAD")
        ]
        assert head.content == b"", path
        assert head.status_code == get.status_code
        ours = ("content-length",) if path in ("/metrics", "/readyz") or any(part in path for part in MOVING) else ()
        for name in get.headers.keys() - {"x-request-id", "date", "ratelimit", "next-position", *ours}:
            assert head.headers.get(name) == get.headers[name], (path, name)
        assert head.headers.keys() | {"content-length"} == get.headers.keys() | {"content-length"}


async def test_a_request_id_is_echoed_where_it_is_one(client: httpx.AsyncClient) -> None:
    for given in ("a", "0123-abc.DEF_9", "x" * 128):
        for path in ("/livez", "/v1/tickets", "/v1/nothing", "/v1/tickets/nonsense"):
            answer = await client.get(path, headers={"X-Request-ID": given})
            assert answer.headers.get_list("x-request-id") == [given]


async def test_a_request_id_that_is_none_is_replaced(app: FastAPI) -> None:
    seen = set()
    for given in (
        None,
        b"",
        b" ",
        b"x" * 129,
        b"a b",
        b"a\nb",
        b"abc\n",
        b"\xff",
        b'"',
        b"a;b",
        b"<script>",
        b"../../x",
        b"nty_0123_abcd",
        b"nts_abcd",
        b"eyJhbGciOiJIUzI1NiJ9.e30.x",
    ):
        headers = [(b"x-request-id", given)] if given is not None else []
        answer = await raw.send(app, "GET", "/livez", headers=headers)
        [made] = answer.headers.get_list("x-request-id")
        assert MADE.fullmatch(made), given
        seen.add(made)
    assert len(seen) == 15


async def test_every_answer_has_the_headers_of_a_private_api(client: httpx.AsyncClient, app: FastAPI) -> None:
    async with client_for(app, None) as nobody:
        for answer in (
            await client.get("/v1/tickets"),
            await client.get("/v1/nothing"),
            await client.delete("/v1/tickets"),
            await client.post("/v1/tickets", content=b"{"),
            await nobody.get("/v1/tickets"),
            await nobody.get("/livez"),
        ):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "no-store" in answer.headers["cache-control"]
            assert "authorization" in answer.headers["vary"].lower()
            assert len(answer.headers.get_list("x-request-id")) == 1
            assert "server" not in answer.headers


async def test_a_trace_context_is_taken_or_left(app: FastAPI) -> None:
    whole = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for given in (whole, whole + b"\n", b"", b"00-0-0-0", whole * 3, b"\xff", b"ff" + whole[2:], whole.upper()):
        answer = await raw.send(app, "GET", "/livez", headers=[(b"traceparent", given)])
        assert answer.status_code == 200


async def test_a_method_cannot_be_overridden(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    path = f"/v1/teams/{ids['team_id']}"
    names = ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")
    for name in names:
        assert (await client.get(path, headers={name: "DELETE"})).status_code == 200
        problem(await client.post(path, headers={name: "DELETE"}), 405)
        problem(await client.get(f"{path}?_method=DELETE&{name}=DELETE"), 422)
    assert (await client.get(path)).status_code == 200


async def test_very_many_and_very_long_headers_change_nothing(app: FastAPI) -> None:
    for headers in (
        [(b"x-h%d" % n, b"v") for n in range(10_000)],
        [(b"x-same", b"v")] * 10_000,
        [(b"x-long", b"v" * 1_000_000)],
        [(b"x" * 100_000, b"v")],
        [(b"cookie", b"a=b; " * 100_000)],
        [(b"accept", b"text/csv;q=0.1, " * 50_000)],
        [(b"if-none-match", b'"x", ' * 100_000)],
    ):
        answer = await raw.send(app, "GET", "/v1/tickets", key=ADMIN_KEY, headers=headers)
        assert answer.status_code == 200


async def test_health_and_figures_need_no_key_and_hold_no_secrets(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ticket = await open_ticket(subject="A secret subject")
    await client.get(f"/v1/tickets/{ticket['id']}")
    async with client_for(app, None) as nobody:
        assert (await nobody.get("/livez")).json() == {"status": "alive"}
        ready = await nobody.get("/readyz")
        metrics = (await nobody.get("/metrics")).text
    assert ready.status_code == 503  # no worker in this test
    assert '/v1/tickets/{ticket_id}"' in metrics
    for text in (ready.text, metrics):
        for secret in (ticket["id"], "secret subject", ADMIN_KEY, ADMIN_KEY[-43:], "postgres"):
            assert secret not in text


async def test_figures_are_labelled_by_route_and_never_by_what_callers_write(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    for n in range(5):
        await client.get(f"/v1/made-up-{n}")
        await client.request(f"BREW{n}", "/v1/tickets")
    metrics = (await client.get("/metrics")).text
    assert "made-up" not in metrics
    assert "BREW" not in metrics


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


async def test_the_documentation_works_without_the_internet(app: FastAPI) -> None:
    async with client_for(app, None) as nobody:
        page = await nobody.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        parser = _References()
        parser.feed(page.text)
        assert len(parser.found) >= 3
        for reference in (urljoin("/docs", found) for found in parser.found):
            assert reference.startswith("/docs/"), reference
            asset = await nobody.get(reference)
            assert asset.status_code == 200, reference
            if reference.endswith(".css"):
                assert not re.search(rb"url\(\s*['\"]?(https?:)?//|@import", asset.content)
        assert not re.search(r"https?://(?!json-schema\.org|spec\.openapis\.org)[a-z]", page.text)
        assert "url: 'openapi.json'" in page.text
        assert (await nobody.get("/openapi.json")).json() == app.openapi()


async def test_the_files_of_the_documentation_lead_nowhere_else(app: FastAPI) -> None:
    for path in (
        "/docs/static/../docs.py",
        "/docs/static/../../../../etc/passwd",
        "/docs/static//etc/passwd",
        "/docs/static/",
        "/docs/static",
        "/docs/static/\0",
        "/docs/static/a\0.css",
        "/docs/static/" + "x" * 5_000,
        "/docs/static/" + "x/" * 2_000,
        "/docs/static/.",
        "/docs/static/swagger-ui.css/x",
        "/docs/static/\N{SNOWMAN}",
        "/docs/static/..",
        "/docs/static/C:\\windows",
    ):
        problem(await raw.send(app, "GET", path), 404, "not_found")


async def test_the_document_and_static_files_are_asked_for_again_by_their_tag(app: FastAPI) -> None:
    for path in ("/openapi.json", "/docs/static/swagger-ui.css"):
        plain = await raw.send(app, "GET", path)
        assert plain.headers["cache-control"] == "no-cache", path
        tag = plain.headers["etag"].encode()
        same = await raw.send(app, "GET", path, headers=[(b"if-none-match", tag)])
        assert (same.status_code, same.content) == (304, b""), path
    packed = await raw.send(app, "GET", "/openapi.json", headers=[(b"accept-encoding", b"gzip, br")])
    assert packed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["vary"]
    assert packed.json() == app.openapi()
    assert int(packed.headers["content-length"]) < len((await raw.send(app, "GET", "/openapi.json")).content) / 5
