"""The files of deploy/compose/ha, run by the same programs without containers: two nodes, etcd, HAProxy, PgBouncer."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conftest import ADMIN_KEY
from tests.faults.balancer import free_port
from tests.faults.harness import client, directory, service, worker

_ROOT = Path(__file__).parents[2]
_FILES = _ROOT / "deploy/compose/ha"
_PASSWORD = "of the database"
_OWN = {"DATABASE_POOLER": "pgbouncer", "NINETY_ADMIN_KEY": ADMIN_KEY}
_PROGRAMS = ("etcd", "patroni", "patronictl", "haproxy", "pgbouncer", "/usr/lib/postgresql/15/bin/postgres")
_PATH = f"{os.environ['PATH']}:/usr/sbin"
_USER = "postgres" if os.geteuid() == 0 else None

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(
        any(shutil.which(program, path=_PATH) is None for program in _PROGRAMS),
        reason="needs etcd, Patroni, PostgreSQL 15, HAProxy and PgBouncer of Debian",
    ),
]


@dataclass
class Node:
    name: str
    port: int = field(default_factory=free_port)
    rest: int = field(default_factory=free_port)


@dataclass
class There:
    place: Path
    nodes: list[Node]
    database: int
    pooler: int

    @property
    def url(self) -> str:
        return f"postgresql://ninety:{_PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.pooler}/ninety"

    def patronictl(self, *arguments: str) -> str:
        command = ["patronictl", "-c", str(self.place / "patroni.yml"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def primary(self) -> str | None:
        """Where all nodes run."""
        listed = self.patronictl("list")
        running = len(re.findall(r"\| running", listed))
        found = re.search(r"\| (node-\d) +\| [^|]+\| Leader", listed)
        synchronous = "Sync Standby" in listed
        return found[1] if found and synchronous and running == len(self.nodes) else None

    def ninety(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **_OWN, "DATABASE_URL": self.url, "NINETY_DATA_DIR": str(self.place / "data")}
        command = [sys.executable, "-m", "app", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def there() -> Iterator[There]:
    with directory() as place, ExitStack() as started:
        if _USER:
            shutil.chown(place, _USER)
        nodes = [Node("node-1"), Node("node-2")]
        made = There(place, nodes, free_port(), free_port())
        etcd = free_port()
        _write_files(made, etcd)
        url = f"http://127.0.0.1:{etcd}"
        own = {"ETCD_DATA_DIR": str(place / "etcd"), "ETCD_LISTEN_CLIENT_URLS": url, "ETCD_ADVERTISE_CLIENT_URLS": url}
        started.enter_context(_running(made, ["etcd"], own | {"ETCD_LISTEN_PEER_URLS": "http://127.0.0.1:0"}))
        _until(lambda: _answers(f"{url}/health"))
        for node in nodes:
            given = _environment_of(node, place, etcd)
            started.enter_context(_running(made, ["patroni", str(place / "patroni.yml")], given))
        started.enter_context(_running(made, ["haproxy", "-db", "-f", str(place / "database.cfg")], {}))
        pooler = [str(place / "pooler.sh"), str(place), str(place / "pgbouncer.ini")]
        started.enter_context(_running(made, pooler, {"NINETY_DATABASE_PASSWORD": _PASSWORD}))
        _until(lambda: made.primary() is not None, made)
        yield made


def _write_files(made: There, etcd: int) -> None:
    """As they are in the image, but with places and ports of this test's own."""
    ports = {each.name: each for each in made.nodes}
    for file in _FILES.iterdir():
        text = (
            file.read_text()
            .replace("/etc/ninety/", f"{made.place}/")
            .replace("/tmp/users.txt", f"{made.place}/users.txt")
        )
        if file.name == "database.cfg":
            text = text.replace("bind :5432", f"bind 127.0.0.1:{made.database}")
            text = re.sub(
                r"server (node-\d) \S+",
                lambda found: (
                    f"server {found[1]} 127.0.0.1:{ports[found[1]].port} port {ports[found[1]].rest}"
                    if found[1] in ports
                    else ""
                ),
                text,
            )
        elif file.name == "pgbouncer.ini":
            text = text.replace("host=database port=5432", f"host=127.0.0.1 port={made.database}")
            text = text.replace("listen_port = 5432", f"listen_port = {made.pooler}").replace("0.0.0.0", "127.0.0.1")
        elif file.name == "patroni.yml":
            # For patronictl, which nothing else tells where etcd is.
            text += f"etcd3: {{hosts: ['127.0.0.1:{etcd}']}}\n"
        (made.place / file.name).write_text(text)
        (made.place / file.name).chmod(0o755)


def _environment_of(node: Node, place: Path, etcd: int) -> dict[str, str]:
    """As compose gives it, and what keeps nodes on one machine apart."""
    passwords = {f"PATRONI_{who}_PASSWORD": "of the cluster" for who in ("SUPERUSER", "REPLICATION", "REWIND")}
    rest, server = f"127.0.0.1:{node.rest}", f"127.0.0.1:{node.port}"
    return {
        **passwords, "PATRONI_NAME": node.name, "PATRONI_ETCD3_HOSTS": f"127.0.0.1:{etcd}",
        "PATRONI_RESTAPI_CONNECT_ADDRESS": rest, "PATRONI_RESTAPI_LISTEN": rest,
        "PATRONI_POSTGRESQL_CONNECT_ADDRESS": server, "PATRONI_POSTGRESQL_LISTEN": server,
        "PATRONI_POSTGRESQL_DATA_DIR": str(place / node.name),
        "PATRONI_POSTGRESQL_PGPASS": str(place / f"{node.name}.pass"),
        "NINETY_DATABASE_PASSWORD": _PASSWORD,
    }  # fmt: skip


@contextmanager
def _running(made: There, command: list[str], given: Mapping[str, str]) -> Iterator[None]:
    environment = {"PATH": _PATH, "LC_ALL": "C.UTF-8", **given}
    with (made.place / "ha.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, user=_USER, cwd="/")
    try:
        yield
    finally:
        # Patroni stops its server.
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(happened: Callable[[], bool], made: There | None = None, seconds: float = 120) -> None:
    give_up = time.monotonic() + seconds
    while not happened():
        log = (made.place / "ha.log").read_text(errors="replace")[-3000:] if made else ""
        assert time.monotonic() < give_up, log
        time.sleep(0.3)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


async def _open(base: str, name: str) -> None:
    """Until it is acknowledged."""
    async with client(base) as http, asyncio.timeout(60):
        http.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        body = {"subject": "x", "external_id": name, "customer": {"external_id": "c"}}
        while (await http.post("/v1/tickets", json=body, headers={"Idempotency-Key": name})).status_code != 201:
            await asyncio.sleep(0.2)


async def test_it_is_migrated_served_switched_over_and_backed_up(there: There, tmp_path: Path) -> None:
    migrated = await asyncio.to_thread(there.ninety, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    with (
        service(there.place / "data", there.url, "--no-worker", settings=_OWN) as (base, _),
        worker(there.place / "data", there.url, _OWN),
    ):
        await _open(base, "before")
        old = there.primary()
        await asyncio.to_thread(there.patronictl, "switchover", "--force")
        await _open(base, "after")
        await asyncio.to_thread(_until, lambda: there.primary() not in (old, None), there)
        async with client(base) as http:
            http.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
            page = (await http.get("/v1/tickets")).json()
            assert {each["external_id"] for each in page["items"]} == {"before", "after"}
        examined = await asyncio.to_thread(there.ninety, "doctor")
        # Of the role and the guard rails, which the cluster's own script has made.
        assert "problem " not in examined.stdout, examined.stdout
    backup = ["sh", str(_ROOT / "deploy/compose/backup.sh"), "once"]
    given = {
        "PATH": _PATH, "PGHOST": "127.0.0.1", "PGPORT": str(there.database), "PGUSER": "ninety", "PGDATABASE": "ninety",
        "PGPASSWORD": _PASSWORD, "BACKUP_DIR": str(tmp_path), "KEEP_DAYS": "7",
    }  # fmt: skip
    ran = await asyncio.to_thread(
        subprocess.run, backup, env=given, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.rstrip().endswith(" 2"), ran.stdout
