"""What the console may cost, measured in Chromium on a service of its own: `make bars`. ARGS=--long watches the heap
for ten minutes. Ends with 1 where a bar is missed; on a busy machine that says little."""

import argparse
import asyncio
import itertools
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from app.console.routes import STATIC
from tests.browser.conftest import CHROMIUM
from tests.faults import harness

EVENTS_PER_SECOND = 50
SECONDS, LONG_SECONDS = 20, 600
OPENINGS, AT_REST_SECONDS = 5, 3
# Runs before the page's own scripts, and only watches: when rows are there, which tasks were long, and how late each
# change was seen. A change is known by the number in its subject.
_WATCH = """
window.__rows = 0; window.__long = []; window.__seen = [];
new PerformanceObserver(list => { for (const task of list.getEntries()) window.__long.push(task.duration); })
  .observe({type: "longtask", buffered: true});
const seen = () => {
  if (!window.__rows && document.querySelector("tr[data-ticket]")) window.__rows = performance.now();
};
new MutationObserver(changes => {
  seen();
  for (const {target} of changes) {
    const sent = /^sent (\\d+)$/.exec(target.textContent ?? "");
    if (sent && target.nodeType === Node.TEXT_NODE)
      requestAnimationFrame(() => window.__seen.push([Number(sent[1]), Date.now()]));
  }
}).observe(document, {subtree: true, childList: true, characterData: true});
"""


@dataclass
class Bar:
    name: str
    value: float
    unit: str
    most: float

    @property
    def held(self) -> bool:
        return self.value <= self.most


@dataclass
class Chromium:
    """A browser with the administrator signed in, as a reload finds it."""

    browser: Browser
    url: str

    @contextmanager
    def context(self) -> Iterator[BrowserContext]:
        made = self.browser.new_context(viewport={"width": 1440, "height": 900})
        made.add_init_script(f"sessionStorage.setItem('ninety.key', '{harness.ADMIN_KEY}'); {_WATCH}")
        yield made
        made.close()

    def board(self, context: BrowserContext) -> Page:
        page = context.new_page()
        page.goto(f"{self.url}/console")
        page.locator("tr[data-ticket]").first.wait_for()
        page.locator(".plot-place canvas").wait_for()
        return page

    def cpu_seconds(self) -> float:
        session = self.browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        session.detach()
        return sum(float(each["cpuTime"]) for each in processes if each["type"] == "renderer")


def opening(chromium: Chromium) -> list[Bar]:
    """The times are the medians of some openings, each without a cache, beside a worker that has nothing to do."""
    time.sleep(AT_REST_SECONDS)
    times = [_opened(chromium) for _ in range(OPENINGS)]
    paint, rows = (sorted(each)[OPENINGS // 2] for each in zip(*times, strict=True))
    with chromium.context() as context:
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        page = chromium.board(context)
        page.wait_for_timeout(1_000)
        calls = len([url for url in asked if "/v1/" in url])
        document = httpx.get(f"{chromium.url}/console").text
        first = sum((STATIC / name).stat().st_size for name in set(re.findall(r"/([\w.-]+\.js)\"", document)))
        board = sum(page.evaluate(_SIZES, ".js"))
        again = chromium.board(context)
        fetched = sum(again.evaluate(_FETCHED))
    everything = sum(path.stat().st_size for path in STATIC.glob("*.js"))
    return [
        Bar("first paint, cold", paint, "ms", 400),
        Bar("rows, cold", rows, "ms", 700),
        Bar("scripts of the first page", first / 1000, "kB", 60),
        Bar("scripts of the board with its plot", board / 1000, "kB", 250),
        Bar("scripts of all pages and languages", everything / 1000, "kB", 250),
        Bar("second visit: bytes of assets", fetched, "B", 0),
        Bar("calls on opening the board", calls, "", 8),
    ]


def _opened(chromium: Chromium) -> tuple[float, float]:
    """When something was painted and when rows were there, in milliseconds."""
    with chromium.context() as context:
        page = chromium.board(context)
        paint: float = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        return paint, page.evaluate("window.__rows")


_OF = "performance.getEntriesByType('resource').filter(each => each.name.includes('/console/assets/'))"
_SIZES = f"end => {_OF}.filter(each => each.name.endsWith(end)).map(each => each.decodedBodySize)"
_FETCHED = f"{_OF}.map(each => each.transferSize)"


def live(chromium: Chromium, tickets: list[str], seconds: int) -> dict[str, float]:
    """What the board does while its tickets change."""
    with chromium.context() as context:
        page = chromium.board(context)
        page.locator(f"tr[data-ticket] >> nth={len(tickets) - 1}").wait_for()
        session = context.new_cdp_session(page)
        heap = _heap(session)
        with changing(chromium.url, tickets) as answered:
            page.wait_for_timeout(2_000)
            page.evaluate("window.__seen = []; window.__long = []")
            began, cpu = time.monotonic(), chromium.cpu_seconds()
            page.wait_for_timeout(seconds * 1_000)
            share = (chromium.cpu_seconds() - cpu) / (time.monotonic() - began)
        seen, long = page.evaluate("[window.__seen, window.__long]")
        late = sorted(max(0, at - answered[number]) for number, at in seen if number in answered)
        return {
            "p50": late[len(late) // 2], "p95": late[len(late) * 95 // 100], "share": share * 100,
            "longest": max(long, default=0), "heap": heap, "grown": _heap(session) - heap,
        }  # fmt: skip


def _heap(session: CDPSession) -> float:
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1_000_000


@contextmanager
def changing(url: str, tickets: list[str]) -> Iterator[dict[int, float]]:
    """Changes tickets, so many a second, until it is left; tells when each change was answered, in milliseconds."""
    stop = threading.Event()
    answered: dict[int, float] = {}

    async def one(http: httpx.AsyncClient, number: int, ticket: str) -> None:
        answer = await http.patch(f"/v1/tickets/{ticket}", json={"subject": f"sent {number}"})
        if answer.is_success:
            answered[number] = time.time() * 1000

    async def all_of_them() -> None:
        async with harness.client(url) as http, asyncio.TaskGroup() as group:
            begun = time.monotonic()
            for number, ticket in enumerate(itertools.cycle(tickets)):
                await asyncio.sleep(max(0.0, begun + number / EVENTS_PER_SECOND - time.monotonic()))
                if stop.is_set():
                    return
                group.create_task(one(http, number, ticket))

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()


async def opened(url: str, count: int) -> list[str]:
    async with harness.client(url) as http:
        await http.post("/v1/service-goals", json=_GOAL)
        ids: list[str] = []
        for _ in range(0, count, 10):
            answers = await asyncio.gather(*(http.post("/v1/tickets", json=_ticket(number)) for number in range(10)))
            ids += [answer.raise_for_status().json()["id"] for answer in answers]
        # The plot shows answers: without one it is not fetched.
        (await http.post(f"/v1/tickets/{ids[0]}/messages", json={"body": "Here."})).raise_for_status()
        return ids


_GOAL = {"key": "bar", "name": "Bar", "target_seconds": 90, "window": {"rolling_seconds": 3600}}


def _ticket(number: int) -> dict[str, Any]:
    return {"subject": f"Row {number}", "description": "Hello", "customer": {"external_id": f"c-{number}"}}


def measured(url: str, browser: Browser, long: bool) -> Iterator[Bar]:
    chromium = Chromium(browser, url)
    tickets = _apart(lambda: asyncio.run(opened(url, 200)))
    yield from opening(chromium)
    few = live(chromium, tickets, SECONDS)
    yield Bar("200 rows: event to screen, p50", few["p50"], "ms", 200)
    yield Bar("200 rows: event to screen, p95", few["p95"], "ms", 400)
    yield Bar("200 rows: share of a core", few["share"], "%", 25)
    yield Bar("200 rows: longest task", few["longest"], "ms", 100)
    tickets += _apart(lambda: asyncio.run(opened(url, 800)))
    seconds = LONG_SECONDS if long else SECONDS
    many = live(chromium, tickets, seconds)
    yield Bar("1,000 rows: event to screen, p95", many["p95"], "ms", 500)
    yield Bar("1,000 rows: heap", many["heap"], "MB", 25)
    yield Bar(f"1,000 rows: heap after {seconds} s more", many["grown"], "MB", 5)


def _apart(work: Callable[[], list[str]]) -> list[str]:
    """In a thread of its own: Playwright's loop runs in this one."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(work()))
    thread.start()
    thread.join()
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--long", action="store_true")
    long = options.parse_args().long
    busy = f"{os.getloadavg()[0]:.1f} running on {os.cpu_count()} cores before it began"
    table = Table("bar", "measured", "at most", "", caption=busy)
    with (
        harness.directory() as place,
        harness.service(place / "data") as (url, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        bars = list(measured(url, browser, long))
        browser.close()
    for bar in bars:
        table.add_row(
            bar.name, f"{bar.value:,.1f} {bar.unit}", f"{bar.most:g} {bar.unit}", "held" if bar.held else "missed"
        )
    Console(width=100).print(table)
    return 0 if all(bar.held for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
