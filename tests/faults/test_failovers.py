"""P2: a real cluster with synchronous replication fails over, is switched over, loses a standby and its etcd, while
tickets are opened by two replicas through PgBouncer, and by a third without one, whose balancer notices late."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.connections import FAULTS, READ_ONLY
from app.db import Database
from app.settings import Settings
from app.verification.clocks import verify
from tests.faults.cluster import LOGIN, STANDBY_SECONDS, Cluster, cluster
from tests.faults.harness import Tally, busy, client, directory, longest_gap, open_tickets, service, worker
from tests.support.pooler import pooler

pytestmark = pytest.mark.fault
_CALLERS, _PAUSE = 2, 0.02
_ENOUGH = 20
# What the service may add to the time in which the cluster itself takes no write.
_BAR_SECONDS = 2.0
_READ_SECONDS = 1.0
_SETTLING_SECONDS = 90


@dataclass
class There:
    cluster: Cluster
    replicas: list[str]
    """Through PgBouncer, with a worker apart."""
    late: str
    """One without a pooler, by way of a balancer that leads to the old primary for some seconds."""
    log: Path


@pytest.fixture(scope="module")
def there() -> Iterator[There]:
    with directory() as place, ExitStack() as started:
        made = started.enter_context(cluster(place))
        asyncio.run(_make_database(made))
        more = "server_login_retry = 0.3"
        url = started.enter_context(pooler(made.url, pool_size=40, more=more))(made.url)
        pooled = {"DATABASE_POOLER": "pgbouncer"}

        def replica(database_url: str, settings: dict[str, str]) -> str:
            running = service(place / "data", database_url, "--no-worker", settings=settings)
            return started.enter_context(running)[0]

        replicas = [replica(url, pooled) for _ in range(2)]
        started.enter_context(worker(place / "data", url, pooled))
        yield There(made, replicas, replica(made.late_url, {}), place / "service.log")


async def _make_database(made: Cluster) -> None:
    """As an administrator does. What probes the cluster has a table of its own."""
    connection = await asyncpg.connect(made.admin_url)
    await connection.execute(f"CREATE ROLE {LOGIN} LOGIN CREATEROLE")
    await connection.execute(f"CREATE DATABASE {LOGIN} OWNER {LOGIN}")
    await connection.execute("CREATE TABLE probes ()")
    await connection.close()


@dataclass
class Probe:
    """What the cluster itself answers, by way of the same balancer."""

    url: str
    at: list[float] = field(default_factory=list)
    read_only: int = 0

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(2):
                    await self._write()
            except FAULTS as failed:
                self.read_only += getattr(failed, "sqlstate", None) == READ_ONLY
            else:
                self.at.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.05)

    async def _write(self) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("INSERT INTO probes DEFAULT VALUES")
        finally:
            connection.terminate()


@dataclass
class Reads:
    slowest: float = 0.0
    failed: int = 0

    async def run(self, base: str) -> None:
        async with client(base) as http:
            while True:
                since = time.monotonic()
                answer = await http.get("/v1/tickets", params={"limit": 1})
                self.slowest = max(self.slowest, time.monotonic() - since)
                self.failed += answer.status_code != 200
                await asyncio.sleep(0.05)


@dataclass
class Load:
    """Callers of some replicas, who are told of what was stored, beside who asks the cluster itself."""

    replicas: list[str]
    probe: Probe
    tally: Tally = field(default_factory=Tally)
    reads: Reads = field(default_factory=Reads)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        callers = [open_tickets(base, self.tally, stop, _PAUSE) for base in self.replicas for _ in range(_CALLERS)]
        aside = [asyncio.ensure_future(self.probe.run()), asyncio.ensure_future(self.reads.run(self.replicas[0]))]
        try:
            async with asyncio.TaskGroup() as tasks:
                for caller in callers:
                    tasks.create_task(caller)
                await self.more_is_acknowledged()
                yield
                await self.more_is_acknowledged()
                stop.set()
        finally:
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)

    async def more_is_acknowledged(self) -> None:
        """By each replica's callers and the cluster, from now on."""
        before, probed = len(self.tally.at), len(self.probe.at)
        async with asyncio.timeout(_SETTLING_SECONDS):
            while len(self.tally.at) < before + _ENOUGH * len(self.replicas) or len(self.probe.at) < probed + _ENOUGH:
                await asyncio.sleep(0.05)

    def told(self, lost: int) -> str:
        mine, theirs = longest_gap(self.tally.at), longest_gap(self.probe.at)
        return (
            f"{len(self.tally.acknowledged):,} acknowledged, {lost} lost, {mine:.1f} s without writes, of which "
            f"{theirs:.1f} s the cluster's"
        )


async def _lost(there: There, load: Load) -> int:
    """Of what was acknowledged; everything else that is stored is in order, and there once."""
    connection = await asyncpg.connect(there.cluster.url)
    stored = [row["external_id"] for row in await connection.fetch("SELECT external_id FROM tickets")]
    await connection.close()
    assert len(stored) == len(set(stored))
    async with Database.open(Settings(database_url=there.cluster.url)) as db:
        assert [each async for _, found in verify(db, []) for each in found] == []
    return len(load.tally.acknowledged - set(stored))


async def _all_are_ready(there: There) -> None:
    async with asyncio.timeout(_SETTLING_SECONDS), httpx.AsyncClient() as http:
        for base in (*there.replicas, there.late):
            while (await http.get(f"{base}/readyz")).status_code != 200:
                await asyncio.sleep(0.1)


def _bar(seconds: float) -> float:
    """Longer where others use the machine at the same time."""
    return seconds * max(1, busy())


async def _under_load(
    there: There, shows: Callable[[str, str], None], what: str, fault: Callable[[], None]
) -> tuple[Load, Load]:
    """Loads that lived through the fault: of the replicas behind PgBouncer, and of the one whose balancer is late."""
    await asyncio.to_thread(there.cluster.until_healthy)
    await _all_are_ready(there)
    # So that `probes` is in the database of administrators, which no pooler stands before.
    quick = Load(there.replicas, Probe(there.cluster.admin_url))
    late = Load([there.late], Probe(there.cluster.late_admin_url))
    async with quick.running(), late.running():
        await asyncio.to_thread(fault)
    await _all_are_ready(there)
    lost = [await _lost(there, load) for load in (quick, late)]
    # Before any bar is looked at: a figure that is out of it is told, too.
    shows("P2", f"{what}: {quick.told(lost[0])}")
    assert lost == [0, 0]
    for load in (quick, late):
        assert (load.tally.wrong, load.tally.broken) == ([], 0), there.log.read_text()[-50_000:]
        assert longest_gap(load.tally.at) <= longest_gap(load.probe.at) + _bar(_BAR_SECONDS)
    return quick, late


async def test_a_killed_primary_takes_no_acknowledged_write_along(
    there: There, shows: Callable[[str, str], None]
) -> None:
    def fault() -> None:
        there.cluster.primary().signal_server(signal.SIGKILL)

    await _under_load(there, shows, "kill -9 of the primary", fault)


async def test_a_machine_that_vanishes_takes_no_acknowledged_write_along(
    there: There, shows: Callable[[str, str], None], pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--long"):
        pytest.skip("only with --long: a lease has to run out")
    gone = there.cluster.primary()
    await _under_load(there, shows, "kill -9 of the primary and its Patroni", gone.kill)
    gone.start()


async def test_after_a_switchover_a_replica_leaves_the_old_primary_for_the_new_one(
    there: There, shows: Callable[[str, str], None]
) -> None:
    _, late = await _under_load(there, shows, "switchover", there.cluster.switch_over)
    said = f"{late.probe.read_only} connections led to a server that takes no writes"
    shows("P2", f"the same by way of a balancer that notices late: {late.told(0)}; {said}")
    # The old primary did answer, and took no writes.
    assert late.probe.read_only > 0


async def test_reads_go_on_while_a_standby_hangs(there: There, shows: Callable[[str, str], None]) -> None:
    hanging = await asyncio.to_thread(there.cluster.standby)

    def fault() -> None:
        hanging.signal_patroni(signal.SIGSTOP)
        hanging.signal_server(signal.SIGSTOP)
        time.sleep(2 * STANDBY_SECONDS)

    try:
        quick, _ = await _under_load(there, shows, "standby hangs (SIGSTOP)", fault)
    finally:
        with suppress(ProcessLookupError):
            hanging.signal_server(signal.SIGCONT)
            hanging.signal_patroni(signal.SIGCONT)
    shows("P2", f"standby hangs: slowest read {quick.reads.slowest:.2f} s, {quick.reads.failed} failed")
    assert quick.reads.failed == 0
    assert quick.reads.slowest < _bar(_READ_SECONDS)


async def test_an_etcd_that_is_restarted_is_not_noticed(there: There, shows: Callable[[str, str], None]) -> None:
    quick, _ = await _under_load(there, shows, "etcd away for 2 s", lambda: there.cluster.restart_etcd(2))
    assert set(quick.tally.answers) == {201}
