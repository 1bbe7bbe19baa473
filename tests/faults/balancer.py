"""HAProxy in front of replicas, without a single retry."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

_CONFIG = """
global
    stats socket {directory}/stats.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    # A machine that starts a process may be slow to answer; a check that is refused comes at once.
    timeout check 10s
    retries 0
    no option redispatch
frontend in
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /readyz
    default-server inter 300ms fall 2 rise 1
{servers}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def balancer(directory: Path, replicas: Sequence[str]) -> Iterator[str]:
    """Its URL. Skips where there is no HAProxy."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        pytest.skip("haproxy is not installed")
    port = free_port()
    servers = "\n".join(f"    server r{n} {urlsplit(url).netloc} check" for n, url in enumerate(replicas))
    config = directory / "haproxy.cfg"
    config.write_text(_CONFIG.format(directory=directory, port=port, servers=servers))
    with (directory / "haproxy.log").open("ab") as log:
        process = subprocess.Popen([program, "-db", "-f", str(config)], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                if httpx.get(f"{url}/livez").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        else:
            raise AssertionError((directory / "haproxy.log").read_text())
        yield url
    finally:
        process.kill()
        process.wait()


def until_all_are_up(directory: Path) -> None:
    """As the balancer sees its replicas."""
    for _ in range(600):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(directory / "stats.sock"))
            asking.sendall(b"show stat\n")
            told = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
        rows = [line.split(",") for line in told.splitlines() if line.startswith("replicas,r")]
        if rows and all(row[17] == "UP" for row in rows):
            return
        time.sleep(0.1)
    raise AssertionError(told)
