"""PgBouncer in transaction mode in front of a whole server, whatever databases it has: the suite runs through it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

_CONFIG = """
[databases]
* = {upstream}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 2000
server_idle_timeout = 5
server_lifetime = 60
{more}
"""


@contextmanager
def pooler(server_url: str, pool_size: int = 20, more: str = "") -> Iterator[Callable[[str], str]]:
    """What makes of a URL of this server the one through PgBouncer. Skips where there is none."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ninety-pgbouncer-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        place.chmod(0o755)
        config = place / "pgbouncer.ini"
        config.write_text(_CONFIG.format(upstream=_upstream(server_url), port=port, pool_size=pool_size, more=more))
        config.chmod(0o644)
        # It refuses to run as root, and who owns the server's socket reaches it.
        socket_directory = _parts(server_url)["host"]
        owner = os.stat(socket_directory).st_uid if socket_directory.startswith("/") else pwd.getpwnam("nobody").pw_uid
        user = owner if os.geteuid() == 0 else None
        with (place / "log").open("ab") as log:
            process = subprocess.Popen([program, "-q", str(config)], stdout=log, stderr=log, user=user)
        try:
            _until_open(port, process, place / "log")
            yield lambda url: urlsplit(url)._replace(netloc=f"any@127.0.0.1:{port}", query="").geturl()
        finally:
            process.kill()
            process.wait()


def _upstream(server_url: str) -> str:
    return " ".join(f"{name}={value}" for name, value in _parts(server_url).items() if value)


def _parts(server_url: str) -> dict[str, str]:
    url = urlsplit(server_url)
    query = dict(part.partition("=")[::2] for part in url.query.split("&") if part)
    return {
        "host": unquote(query.get("host", "")) or url.hostname or "127.0.0.1",
        "port": query.get("port") or str(url.port or 5432),
        "user": unquote(url.username or "") or unquote(query.get("user", "")),
        "password": unquote(url.password or "") or unquote(query.get("password", "")),
    }


def _until_open(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(log.read_text())
