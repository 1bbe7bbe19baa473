"""A cluster as people run it: etcd, Patroni with synchronous replication, HAProxy on Patroni's checks. Each server has
a port and a directory of its own, and nothing stays. Skips where one of the programs is missing."""

import glob
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from embedded_postgres import children
from embedded_postgres.location import choose_location, give
from tests.faults.balancer import free_port

LOGIN = "ninety"
_PASSWORD = "of-the-cluster"
NODES = 3
# What a machine that vanishes costs at least.
_LEASE_SECONDS = 20
# A standby that hangs is given up after so long.
STANDBY_SECONDS = 4
_HEALTHY_SECONDS = 120
_ADDRESS = """
listen {name}
    bind 127.0.0.1:{port}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server {checks} on-marked-down shutdown-sessions
{servers}
"""
_BALANCER = """
global
    maxconn 1000
defaults
    mode tcp
    retries 2
    timeout connect 1s
    timeout client 30m
    timeout server 30m
    timeout check 2s
"""
# As quick as it gets, and as Patroni's own documentation has it: that one leads to the old primary for some seconds.
_QUICK, _USUAL = "inter 300ms fall 1 rise 1", "inter 3s fall 3 rise 2"


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _server_programs() -> Path:
    """Of a release that Debian's Patroni knows, the one beside it."""
    found = sorted(glob.glob("/usr/lib/postgresql/1[5-9]/bin/pg_rewind"))
    if not found:
        pytest.skip("there is no PostgreSQL of the distribution, which Patroni runs")
    return Path(found[0]).parent


class Node:
    """One machine: Patroni and its PostgreSQL."""

    def __init__(self, name: str, place: Path, etcd: int, programs: Path) -> None:
        self.name = name
        self.port, self.rest = free_port(), free_port()
        self._place = choose_location(place)
        give(self._place.home, self._place.user)
        self._log = self._place.home / "patroni.log"
        self._config = self._place.home / "patroni.json"
        self._config.write_text(json.dumps(self._settings(etcd, programs)))
        give(self._config, self._place.user)
        self._patroni: subprocess.Popen[bytes] | None = None

    def _settings(self, etcd: int, programs: Path) -> dict[str, Any]:
        everybody = [f"host {what} all 127.0.0.1/32 trust" for what in ("all", "replication")]
        parameters = {
            "wal_sender_timeout": f"{STANDBY_SECONDS}s", "max_connections": 100, "shared_buffers": "32MB",
            "fsync": "off", "log_line_prefix": "%m %u ",
        }  # fmt: skip
        return {
            "scope": "faults", "name": self.name, "etcd3": {"host": f"127.0.0.1:{etcd}"},
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "bootstrap": {
                "dcs": {
                    "ttl": _LEASE_SECONDS, "loop_wait": 1, "retry_timeout": 5, "synchronous_mode": True,
                    "failsafe_mode": True, "primary_start_timeout": 0,
                    "postgresql": {"use_pg_rewind": True, "parameters": parameters},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self._place.cluster), "bin_dir": str(programs),
                "pgpass": str(self._place.home / "pgpass"), "pg_hba": ["local all all trust", *everybody],
                "parameters": {"unix_socket_directories": str(self._place.home)},
                "authentication": {
                    who: {"username": name, "password": _PASSWORD}
                    for who, name in (("superuser", "postgres"), ("replication", "replicator"), ("rewind", "rewind"))
                },
            },
        }  # fmt: skip

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [_program("patroni"), str(self._config)]
            self._patroni = children.start(command, self._place.user, log, log.fileno())

    def server_pid(self) -> int | None:
        """Of its PostgreSQL."""
        with suppress(OSError, ValueError):
            return int((self._place.cluster / "postmaster.pid").read_text().split()[0])
        return None

    def signal_server(self, what: signal.Signals) -> None:
        """All processes of its PostgreSQL; a stopped one stays in the middle of what it does."""
        pid = self.server_pid()
        assert pid
        signal_all(pid, what)

    def signal_patroni(self, what: signal.Signals) -> None:
        assert self._patroni
        self._patroni.send_signal(what)

    def kill(self) -> None:
        """As if the machine lost its power."""
        if self._patroni:
            self._patroni.kill()
            self._patroni.wait()
            self._patroni = None
        if (pid := self.server_pid()) and Path(f"/proc/{pid}").exists():
            self.signal_server(signal.SIGKILL)
            while Path(f"/proc/{pid}/exe").exists():
                time.sleep(0.01)

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def state(self) -> dict[str, Any]:
        return self.told("patroni")

    def told(self, path: str) -> dict[str, Any]:
        with suppress(httpx.HTTPError, ValueError):
            told: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.rest}/{path}", timeout=2).json()
            return told
        return {}


def signal_all(postmaster: int, what: signal.Signals) -> None:
    for each in [*_children(postmaster), postmaster]:
        with suppress(ProcessLookupError):
            os.kill(each, what)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Cluster:
    """`url` leads to whoever is the primary, `late_url` too, some seconds later."""

    def __init__(self, place: Path, started: ExitStack) -> None:
        self._place = place
        self._etcd_port = free_port()
        self._etcd = _start_etcd(place, self._etcd_port)
        started.callback(lambda: _end(self._etcd))
        programs = _server_programs()
        self.nodes = [Node(f"n{number}", place / f"n{number}", self._etcd_port, programs) for number in range(NODES)]
        for node in self.nodes:
            started.callback(node.kill)
            node.start()
        quick, late = free_port(), free_port()
        started.enter_context(_balanced(place, {"quick": (quick, _QUICK), "late": (late, _USUAL)}, self.nodes))
        self.url = f"postgresql://{LOGIN}:{_PASSWORD}@127.0.0.1:{quick}/{LOGIN}"
        self.late_url = self.url.replace(str(quick), str(late))
        self.admin_url = f"postgresql://postgres@127.0.0.1:{quick}/postgres"
        self.late_admin_url = self.admin_url.replace(str(quick), str(late))

    def primary(self) -> Node:
        return self._with_role("master", "primary", "leader")[0]

    def standby(self) -> Node:
        """The one that a COMMIT waits for."""
        told = self.primary().state()
        [name] = [each["application_name"] for each in told["replication"] if each["sync_state"] == "sync"]
        return next(node for node in self.nodes if node.name == name)

    def _with_role(self, *roles: str) -> list[Node]:
        states = ((node, node.state()) for node in self.nodes)
        return [node for node, told in states if told.get("role") in roles and told.get("state") == "running"]

    def until_healthy(self) -> None:
        """One primary, one that it waits for, and all others follow it."""
        give_up = time.monotonic() + _HEALTHY_SECONDS
        while not self._is_healthy():
            if time.monotonic() > give_up:
                said = "\n".join(f"{node.name} {node.state()}\n{node.said()[-3000:]}" for node in self.nodes)
                raise AssertionError(f"the cluster does not become healthy\n{said}")
            time.sleep(0.2)

    def _is_healthy(self) -> bool:
        primaries = self._with_role("master", "primary", "leader")
        if len(primaries) != 1:
            return False
        following = [each for each in primaries[0].state().get("replication", []) if each["state"] == "streaming"]
        waited_for = [each["application_name"] for each in following if each["sync_state"] == "sync"]
        # What etcd knows, by which the next primary is chosen.
        members = primaries[0].told("cluster").get("members", [])
        known = [each["name"] for each in members if each["role"] == "sync_standby"]
        return len(following) == NODES - 1 and len(waited_for) == 1 and waited_for == known

    def switch_over(self) -> None:
        """As an administrator does before maintenance."""
        primary = self.primary()
        answer = httpx.post(f"http://127.0.0.1:{primary.rest}/switchover", json={"leader": primary.name}, timeout=60)
        assert answer.status_code == 200, answer.text

    def restart_etcd(self, away_seconds: float) -> None:
        _end(self._etcd)
        time.sleep(away_seconds)
        self._etcd = _start_etcd(self._place, self._etcd_port)


@contextmanager
def cluster(place: Path) -> Iterator[Cluster]:
    for program in ("etcd", "patroni", "haproxy"):
        _program(program)
    with ExitStack() as started:
        made = Cluster(place, started)
        made.until_healthy()
        yield made


def _start_etcd(place: Path, port: int) -> "subprocess.Popen[bytes]":
    url = f"http://127.0.0.1:{port}"
    command = [
        _program("etcd"), "--data-dir", str(place / "etcd"), "--unsafe-no-fsync", "--listen-client-urls", url,
        "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:0",
    ]  # fmt: skip
    with (place / "etcd.log").open("ab") as log:
        started = children.start(command, None, log, log.fileno())

    def is_there() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{url}/health", timeout=1).status_code == 200
        assert started.poll() is None, (place / "etcd.log").read_text()
        return False

    _until(is_there)
    return started


@contextmanager
def _balanced(place: Path, addresses: dict[str, tuple[int, str]], nodes: list[Node]) -> Iterator[None]:
    servers = "\n".join(f"    server {each.name} 127.0.0.1:{each.port} check port {each.rest}" for each in nodes)
    config = place / "database.cfg"
    config.write_text(
        _BALANCER
        + "".join(
            _ADDRESS.format(name=name, port=port, checks=checks, servers=servers)
            for name, (port, checks) in addresses.items()
        )
    )
    with (place / "database.log").open("ab") as log:
        started = children.start([_program("haproxy"), "-db", "-f", str(config)], None, log, log.fileno())
    try:
        yield
    finally:
        _end(started)


def _until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
