"""The stream ends, with and without a goodbye, and the page finds back to it."""

import os
import re
import signal
import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Service, SignIn, Watch
from tests.faults import harness


class _Balancer(socketserver.ThreadingTCPServer):
    """Passes each new connection on to the replica that is named just then."""

    daemon_threads = True
    replica = 0


class _Connection(socketserver.BaseRequestHandler):
    server: _Balancer

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.replica)) as there:
            back = Thread(target=_copy, args=(there, self.request), daemon=True)
            back.start()
            _copy(self.request, there)
            back.join()


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while some := source.recv(65536):
            to.sendall(some)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


@contextmanager
def _balancer() -> Iterator[_Balancer]:
    with _Balancer(("127.0.0.1", 0), _Connection) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """Counts how often it was told that it is not live."""
    page = context.new_page()
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () => new MutationObserver(() => {"
        " if (document.querySelector('.banner')) window.banners = (window.banners ?? 0) + 1"
        " }).observe(document, { childList: true, subtree: true }))"
    )
    return page


def test_a_goodbye_leads_to_another_replica_and_nobody_is_told(page: Page, service: Service, watch: Watch) -> None:
    """Check 16."""
    with (
        harness.directory() as place,
        harness.service(place / "first", service.database_url, "--no-worker") as (first, pid),
        harness.service(place / "second", service.database_url, "--no-worker") as (second, _),
        _balancer() as balancer,
    ):
        balancer.replica = _port(first)
        watch.service = f"http://127.0.0.1:{balancer.server_address[1]}"
        page.goto(f"{watch.service}/console/queue")
        page.get_by_label("API key or token").fill(harness.ADMIN_KEY)
        page.get_by_role("button", name="Sign in").click()
        page.mouse.move(2, 2)
        expect(page.locator(".live-on")).to_be_visible()
        balancer.replica = _port(second)
        with page.expect_request(re.compile("/v1/events/stream"), timeout=5_000):
            os.kill(pid, signal.SIGTERM)
        service.ticket("After the goodbye")
        expect(page.get_by_role("row").filter(has_text="After the goodbye")).to_be_visible()
        expect(page.locator(".live-on")).to_be_visible()
        assert page.evaluate("window.banners ?? 0") == 0
        page.close()


def test_a_connection_lost_before_any_event_is_told_and_found_again(
    page: Page, sign_in: SignIn, service: Service, watch: Watch, admin_key: str
) -> None:
    """Check 15. Nothing has happened since the page was opened, so no event has a position to go on from."""
    watch.allowed += ("ERR_", "net::", "Failed to load")
    sign_in(admin_key, "/queue")
    expect(page.locator(".live-on")).to_be_visible()
    page.context.set_offline(True)
    expect(page.locator(".banner")).to_be_visible()
    service.ticket("Missed before the first")
    page.context.set_offline(False)
    expect(page.locator(".banner")).to_have_count(0, timeout=40_000)
    expect(page.get_by_role("row").filter(has_text="Missed before the first")).to_be_visible()
