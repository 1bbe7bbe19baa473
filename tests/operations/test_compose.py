"""What compose.yaml runs beside the service: the backup with its trial, the worker's health, the balancer."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from app.connections import GUARD_RAILS
from embedded_postgres import EmbeddedPostgres, find_binaries
from tests.faults.balancer import free_port
from tests.faults.harness import directory, worker

_ROOT = Path(__file__).parents[2]
_COMPOSE = _ROOT / "compose.yaml"
_HA = _ROOT / "deploy/compose/ha.yaml"
_GIVEN = {"PATRONI_PASSWORD": "x", "POSTGRES_PASSWORD": "x", "NINETY_ADMIN_KEY": "x", "GRAFANA_PASSWORD": "x"}


def _environment(url: str, backups: Path) -> dict[str, str]:
    place = urlsplit(url)
    given = {name: values[0] for name, values in parse_qs(place.query).items()}
    return {
        "PATH": f"{find_binaries()}:/usr/bin:/bin", "PGHOST": place.hostname or given["host"],
        "PGPORT": str(place.port or given.get("port", 5432)), "PGUSER": unquote(place.username or ""),
        "PGPASSWORD": unquote(place.password or ""), "PGDATABASE": place.path.lstrip("/"),
        "BACKUP_DIR": str(backups), "KEEP_DAYS": "7",
    }  # fmt: skip


def _back_up(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = str(_ROOT / "deploy/compose/backup.sh")
    return subprocess.run(["/bin/sh", script, "once"], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return _environment(database_url, tmp_path)


async def test_a_backup_is_restored_on_trial_before_it_counts(environment: dict[str, str], tmp_path: Path) -> None:
    ran = await asyncio.to_thread(_back_up, environment)
    assert ran.returncode == 0, ran.stderr
    [dump] = tmp_path.iterdir()
    assert dump.name.startswith("ninety-")
    assert "restored on trial" in ran.stdout


async def test_what_cannot_be_restored_is_no_backup(environment: dict[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "pg_restore").write_text("#!/bin/sh\nexit 1\n")
    (broken / "pg_restore").chmod(0o755)
    backups = tmp_path / "backups"
    backups.mkdir()
    given = environment | {"PATH": f"{broken}:{environment['PATH']}", "BACKUP_DIR": str(backups)}
    ran = await asyncio.to_thread(_back_up, given)
    assert ran.returncode != 0
    assert [each for each in backups.iterdir() if each.name.startswith("ninety-")] == []


async def test_old_backups_go(environment: dict[str, str], tmp_path: Path) -> None:
    old, young = tmp_path / "ninety-1.dump", tmp_path / "ninety-2.dump"
    for file, days in ((old, 9), (young, 3)):
        file.touch()
        os.utime(file, times=(time.time() - days * 86_400,) * 2)
    assert (await asyncio.to_thread(_back_up, environment)).returncode == 0
    assert not old.exists()
    assert young.exists()


def _health(port: int) -> int:
    command = [sys.executable, str(_ROOT / "deploy/worker_health.py")]
    environment = {"NINETY_METRICS_PORT": str(port)}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@contextmanager
def _heartbeat(at: float) -> Iterator[int]:
    """Metrics of a worker that finished a round at this instant."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"# HELP x\nninety_worker_heartbeat_seconds {at}\n".encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_worker_is_healthy_by_its_last_round() -> None:
    with _heartbeat(time.time() - 10) as port:
        assert _health(port) == 0
    with _heartbeat(time.time() - 40) as port:
        assert _health(port) != 0
    assert _health(free_port()) != 0


@pytest.mark.fault
async def test_a_worker_that_runs_is_healthy() -> None:
    port = free_port()
    with (
        directory() as place,
        EmbeddedPostgres(place / "postgres", durable=False) as url,
        worker(place / "data", url, {"NINETY_METRICS_PORT": str(port)}),
    ):
        async with asyncio.timeout(60):
            while await asyncio.to_thread(_health, port) != 0:
                await asyncio.sleep(0.5)


def test_every_process_gets_the_same_admin_key_and_no_file_is_missing() -> None:
    services = yaml.safe_load(_COMPOSE.read_text())["services"]
    for name in ("migrate", "api-1", "api-2", "worker", "demo"):
        assert "NINETY_ADMIN_KEY" in services[name]["environment"]
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (_ROOT / source).exists(), volume


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker-compose")
@pytest.mark.parametrize("files", [[_COMPOSE], [_COMPOSE, _HA]], ids=["one-server", "ha"])
def test_the_compose_file_is_one(files: list[Path]) -> None:
    command = ["docker-compose", *(each for file in files for each in ("-f", str(file))), "config", "--quiet"]
    ran = subprocess.run(command, env={**os.environ, **_GIVEN}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    # Without a secret nothing starts.
    bare = {"PATH": os.environ["PATH"]}
    ran = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "put it into .env" in ran.stderr


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker-compose")
def test_with_ha_everybody_goes_through_the_pooler_and_a_dump_does_not() -> None:
    command = ["docker-compose", "-f", str(_COMPOSE), "-f", str(_HA), "config"]
    ran = subprocess.run(command, env={**os.environ, **_GIVEN}, capture_output=True, text=True, check=True)
    services = yaml.safe_load(ran.stdout)["services"]
    assert services["postgres"]["command"] == ["/etc/ninety/pooler.sh"]
    assert services["postgres"]["image"] == services["node-1"]["image"] == "ninety-ha:latest"
    for name in ("migrate", "api-1", "api-2", "worker"):
        assert services[name]["environment"]["DATABASE_POOLER"] == "pgbouncer"
        assert "@postgres:5432/" in services[name]["environment"]["DATABASE_URL"]
    assert services["backup"]["environment"]["PGHOST"] == "database"
    named = {each["environment"]["PATRONI_NAME"] for name, each in services.items() if name.startswith("node-")}
    assert named == {"node-1", "node-2", "node-3"}


def test_the_guard_rails_of_the_login_are_those_that_the_service_looks_for() -> None:
    script = (_ROOT / "deploy/compose/ha/post_bootstrap.sh").read_text()
    assert dict(re.findall(r"ALTER ROLE ninety SET (\w+) = '?(\w+)", script)) == GUARD_RAILS


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy")
@pytest.mark.parametrize("file", ["deploy/compose/haproxy.cfg", "deploy/compose/ha/database.cfg"])
def test_the_balancers_settings_are_some(file: str) -> None:
    command = ["haproxy", "-c", "-f", str(_ROOT / file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
