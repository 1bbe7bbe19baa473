"""The console's page and files: what a browser may do with them, and how long it may keep them."""

import re
from pathlib import Path

import httpx
from fastapi import FastAPI

from app.console.routes import STATIC
from app.main import create_app
from app.settings import Settings
from tests.conftest import client_for

SOURCES = Path("console/src")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def _assets(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', page)


async def test_every_page_is_the_same_document_under_one_strict_policy(app: FastAPI) -> None:
    async with client_for(app, None) as anybody:
        pages = [await anybody.get(path) for path in ("/console", "/console/queue", "/console/tickets/some-id?x=1")]
    for page in pages:
        assert page.status_code == 200
        assert page.headers.get_list("content-security-policy") == [POLICY]
        assert page.headers.get_list("cache-control") == ["no-cache"]
        assert page.headers.get_list("vary") == ["Accept-Encoding"]
        assert page.headers["x-frame-options"] == "DENY"
    assert len({page.text for page in pages}) == 1
    assert "{{" not in pages[0].text


async def test_files_are_kept_for_ever_and_the_page_is_asked_for(app: FastAPI) -> None:
    async with client_for(app, None) as anybody:
        page = await anybody.get("/console")
        again = await anybody.get("/console", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for path in _assets(page.text):
            file = await anybody.get(path)
            assert file.status_code == 200, path
            assert file.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
            assert file.headers.get_list("vary") == ["Accept-Encoding"]
            plain = await anybody.get(path, headers={"Accept-Encoding": "identity"})
            assert plain.content == file.content
            assert plain.headers["content-type"].startswith(("text/", "image/svg+xml")), path


async def test_files_of_another_release_are_not_there(app: FastAPI) -> None:
    async with client_for(app, None) as anybody:
        page = await anybody.get("/console")
        script = next(path for path in _assets(page.text) if path.endswith("main.js"))
        digest = script.split("/")[-2]
        wrong = [script.replace(digest, "0" * 16), script.replace("main.js", "index.html"), script + "/../routes.py"]
        for path in wrong:
            assert (await anybody.get(path)).status_code == 404, path


async def test_the_console_is_no_part_of_the_contract_and_can_be_taken_away(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert not [path for path in document["paths"] if "console" in path]
    off = create_app(Settings(database_url="postgresql://nowhere.test/n", console=False))
    async with client_for(off, None) as anybody:
        assert {(await anybody.get(path)).status_code for path in ("/", "/console")} == {404}


async def test_the_root_leads_to_the_console(app: FastAPI) -> None:
    async with client_for(app, None) as anybody:
        answer = await anybody.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/console")


def test_no_source_writes_markup_styles_or_handlers_as_text() -> None:
    """What the policy forbids fails in the browser of whoever opens that page: found here first."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|\bstyle=|\bon[a-z]+=\"|\beval\(|document\.write"
    )
    for path in SOURCES.rglob("*.ts*"):
        if path.name != "schema.d.ts":
            assert not (found := forbidden.search(path.read_text())), f"{path}: {found}"


def test_licences_of_all_that_is_bundled_are_there() -> None:
    licences = (STATIC / "LICENSES.txt").read_text()
    for package in ("preact", "@preact/signals", "@preact/signals-core", "uplot"):
        assert re.search(rf"^{package} \d+\.\d+\.\d+ \(MIT\)$", licences, re.MULTILINE), package
    assert licences.count("Permission is hereby granted") >= 4


def test_scripts_stay_within_their_bars() -> None:
    """Of the first page 60 kB, of everything 250 kB: `make bars` measures what a browser does with them."""
    first = set(re.findall(r"/([\w.-]+\.js)\"", (STATIC / "index.html").read_text()))
    assert sum((STATIC / name).stat().st_size for name in first) <= 60_000
    assert sum(path.stat().st_size for path in STATIC.glob("*.js")) <= 250_000
