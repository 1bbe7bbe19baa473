"""The proxies of docs/proxies.md, run with the very blocks of that page."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.balancer import free_port

PAGE = Path("docs/proxies.md").read_text()
PREFIX = "/support"
# Where a test runs, and not as on the page.
_AROUND_NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{block}
}}
"""
_AROUND_CADDY = "{{\n    admin off\n    auto_https off\n}}\n{block}"


@dataclass(frozen=True)
class Kind:
    """A proxy: its block on the page, what stands there for its own address, and how it is started."""

    name: str
    language: str
    listens: str
    around: str
    command: tuple[str, ...]


NGINX = Kind("nginx", "nginx", "listen 80;", _AROUND_NGINX, ("-c", "{file}", "-p", "{directory}"))
HAPROXY = Kind("haproxy", "haproxy", "bind :80", "{block}", ("-db", "-f", "{file}"))
CADDY = Kind(
    "caddy", "caddyfile", "desk.example {", _AROUND_CADDY, ("run", "--config", "{file}", "--adapter", "caddyfile")
)
KINDS = (NGINX, HAPROXY, CADDY)
_AT = {NGINX: "listen 127.0.0.1:{port};", HAPROXY: "bind 127.0.0.1:{port}", CADDY: "http://127.0.0.1:{port} {{"}


def block_of(kind: Kind) -> str:
    [found] = re.findall(rf"```{kind.language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def behind_a_path(kind: Kind) -> tuple[dict[str, str], dict[str, str]]:
    """What the page's tables write in place of what: to leave the path on, and to say which one it was."""
    rows = re.findall(rf"^\| {kind.name} \| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE | re.IGNORECASE)
    left_on, says = [{old: new.replace("\\|", "|")} for old, new in rows]
    return left_on, says


@contextmanager
def running(
    kind: Kind, directory: Path, replicas: Sequence[str], changes: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Its URL, once it answers. Skips where it is not installed."""
    program = shutil.which(kind.name) or shutil.which(kind.name, path="/usr/sbin")
    if program is None:
        pytest.skip(f"{kind.name} is not installed")
    port = free_port()
    addresses = {f"10.0.0.1{number}:8000": urlsplit(url).netloc for number, url in enumerate(replicas, 1)}
    block = block_of(kind)
    for old, new in {**(changes or {}), kind.listens: _AT[kind].format(port=port), **addresses}.items():
        assert old in block, old
        block = block.replace(old, new)
    file = directory / f"{kind.name}.conf"
    file.write_text(kind.around.format(block=block, directory=directory))
    arguments = [part.format(file=file, directory=directory) for part in kind.command]
    said = directory / f"{kind.name}.log"
    environment = {"HOME": str(directory), "PATH": "/usr/bin:/bin"}
    with said.open("ab") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, said)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def until_ready(replicas: Sequence[str]) -> None:
    """A proxy that asks sends nobody to who is not."""
    for url in replicas:
        for _ in range(600):
            if httpx.get(f"{url}/readyz", timeout=30).status_code == 200:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"{url} is not ready")


def _wait_for(url: str, process: "subprocess.Popen[bytes]", said: Path) -> None:
    for _ in range(300):
        with suppress(httpx.TransportError):
            httpx.get(f"{url}/livez")
            return
        assert process.poll() is None, said.read_text()
        time.sleep(0.1)
    raise AssertionError(said.read_text())
