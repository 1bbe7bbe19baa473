"""The pictures of the documentation, from the demonstration: `make screenshots`."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.browser.conftest import CHROMIUM

PLACE = Path("docs/console")
MOST_BYTES = 200_000
SETTLE_MS = 3_000
SIZE = ViewportSize(width=1360, height=850)
SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]


def main() -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ninety-pictures-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NINETY_", "DATABASE_"))}
        settings = inherited | {"NINETY_DATA_DIR": f"{directory}/data", "NINETY_PORT": "0"}
        command = [sys.executable, "-m", "app", "demo"]
        process = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True)
        try:
            url, lead_key = _told(process)
            _take(url, lead_key)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    large = [path.name for path in PLACE.glob("*.png") if path.stat().st_size > MOST_BYTES]
    assert not large, f"over {MOST_BYTES} bytes: {large}"


def _told(process: "subprocess.Popen[str]") -> tuple[str, str]:
    assert process.stdout
    url = ""
    for line in process.stdout:
        if found := re.search(r"at (\S+)/console", line):
            url = found[1]
        if found := re.search(r"a lead\s+(nty_\S+)", line):
            return url, found[1]
    raise RuntimeError("the demonstration ended before it began")


def _take(url: str, key: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in SCHEMES:
            context = browser.new_context(viewport=SIZE, color_scheme=scheme, timezone_id="Europe/Helsinki")
            page = context.new_page()
            page.goto(f"{url}/console")
            page.get_by_label("API key or token").fill(key)
            page.get_by_role("button", name="Sign in").click()
            page.locator(".live-on").wait_for()
            # Some wait by now, and the first of them are close to their deadline.
            page.wait_for_timeout(45_000)
            _shoot(page, f"board-{scheme}")
            if scheme == "light":
                _others(page, url)
            context.close()
        browser.close()


def _others(page: Page, url: str) -> None:
    for name, path in {"queue": "/queue", "reports": "/reports", "wall": "?wall=1"}.items():
        page.goto(f"{url}/console{path}")
        _shoot(page, name)
    page.goto(f"{url}/console")
    page.locator(".row-link").first.click()
    page.get_by_text("Why this deadline?").click()
    _shoot(page, "ticket")


def _shoot(page: Page, name: str) -> None:
    page.locator(".live-on").wait_for()
    page.mouse.move(2, 2)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=PLACE / f"{name}.png")


if __name__ == "__main__":
    main()
