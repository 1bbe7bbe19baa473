"""P20: no request leaves to an address that is not public. What is counted are the connections that were asked for, and
those that a socket on this machine saw."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import cycle
from typing import Any

import httpcore
import httpx
import pytest
import trustme

from app.db import Database
from app.settings import Settings
from app.webhooks import http_client, targets
from app.webhooks.http_client import courier
from app.webhooks.retries import Attempt, Failure
from app.webhooks.sending import sender
from app.webhooks.targets import Target
from tests.support.webhook_receiver import Received, Receiver, answer, receiver
from tests.webhooks.conftest import deliver, hurry
from tests.webhooks.hostile import CRAFTED, HOSTS, LEADS, NOT_PUBLIC

PUBLIC = "93.184.216.34"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As in production."""
    return settings.model_copy(update={"webhook_private_targets": False})


class Wires(httpcore.AsyncNetworkBackend):
    """Counts the connections that are asked for; the one public address leads to a port of this machine."""

    def __init__(self, port: int = 0) -> None:
        self.asked: list[str] = []
        self._port = port
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        if host == PUBLIC and self._port:
            return await self._inner.connect_tcp("127.0.0.1", self._port)
        return await self._inner.connect_tcp(host, port)


async def by_leads(host: str, port: int) -> list[str]:
    if host in LEADS:
        return LEADS[host]
    return await guard_look_up(host, port)


async def guard_look_up(host: str, port: int) -> list[str]:
    return http_client._look_up(host, port)


@pytest.fixture
async def bait() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def _urls(port: int) -> Iterator[str]:
    for host in HOSTS:
        yield f"https://{host}:{port}/"
    yield from CRAFTED


async def test_no_hostile_url_is_taken_when_it_is_written(
    client: httpx.AsyncClient, bait: Receiver, figure: Callable[[str, int], None]
) -> None:
    good = {"url": "https://hooks.example.com/in", "types": ["*"]}
    made = await client.post("/v1/webhooks", json=good)
    path = f"/v1/webhooks/{made.json()['id']}"
    urls = list(_urls(bait.port))
    assert len(urls) >= 60
    for url in urls:
        for refused in (
            await client.post("/v1/webhooks", json={**good, "url": url}),
            await client.patch(path, json={"url": url}),
        ):
            assert refused.status_code == 422, url
            assert [error["pointer"] for error in refused.json()["errors"]] == ["/url"], url
    assert (await client.get(path)).json() == {name: value for name, value in made.json().items() if name != "secret"}
    assert bait.connects == 0
    figure("hostile targets", 2 * len(urls))
    figure("connects to hostile targets", bait.connects)


async def test_whatever_lies_in_the_database_nothing_is_connected_to(
    client: httpx.AsyncClient, db: Database, settings: Settings, bait: Receiver, sql: Any,
    figure: Callable[[str, int], None],
) -> None:  # fmt: skip
    """As if the check on writing were not there, and with names that led elsewhere when they were written."""
    urls = [*_urls(bait.port), *(f"https://{name}:{bait.port}/" for name in LEADS)]
    for url in urls:
        made = await client.post("/v1/webhooks", json={"url": "https://a.example.com/", "types": ["ticket.created"]})
        await sql.execute("UPDATE webhooks SET url = $2 WHERE id = $1", made.json()["id"], url)
        await client.post(f"/v1/webhooks/{made.json()['id']}/test")
    wires = Wires()
    async with sender(db, settings, inner=wires, resolve=by_leads) as sending:
        for _ in range(2):
            await deliver(db, sending)
            await hurry(sql)
    rows = await sql.fetch(
        "SELECT failure, attempts, url FROM webhook_deliveries JOIN webhooks ON webhook_id = webhooks.id"
    )
    assert len(rows) == len(urls)
    assert {(row["url"], row["failure"]) for row in rows if row["failure"] not in {"not_public", "name"}} == set()
    assert {row["attempts"] for row in rows} == {2}
    assert (wires.asked, bait.connects) == ([], 0)
    figure("hostile targets", 2 * len(urls))
    figure("connects to hostile targets", len(wires.asked) + bait.connects)


async def test_a_check_that_were_left_out_would_be_seen(bait: Receiver) -> None:
    """That the count of connections can be other than none."""
    wires = Wires()
    async with courier(private=True, inner=wires, resolve=by_leads) as carrying:
        ended = await carrying.post(Target("http", "n0.rebound.example", bait.port, "/"), {}, b"")
    assert (ended.failure, wires.asked, bait.connects) == (None, ["127.0.0.1"], 1)


async def test_a_public_receiver_is_reached_by_its_name_over_verified_tls(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async def resolve(host: str, _: int) -> list[str]:
        return [PUBLIC]

    async with receiver(tls=_server_tls(authority, "hooks.example.com")) as there:
        wires = Wires(there.port)
        async with courier(private=False, inner=wires, resolve=resolve, tls=trusting) as carrying:
            good = await carrying.post(Target("https", "hooks.example.com", 443, "/in?a=b"), {}, b"{}")
            other = await carrying.post(Target("https", "other.example.com", 443, "/in"), {}, b"{}")
        async with courier(private=False, inner=wires, resolve=resolve) as distrusting:
            unknown = await distrusting.post(Target("https", "hooks.example.com", 443, "/in"), {}, b"{}")
    assert (good.failure, other.failure, unknown.failure) == (None, Failure.tls, Failure.tls)
    assert [(got.path, got.headers["host"]) for got in there.received] == [("/in?a=b", "hooks.example.com")]
    assert set(wires.asked) == {PUBLIC}


async def test_redirects_lead_nowhere(authority: trustme.CA, trusting: ssl.SSLContext, bait: Receiver) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [PUBLIC] if host == "hooks.example.com" else await by_leads(host, port)

    locations = cycle([*_urls(bait.port), *(f"https://{name}:{bait.port}/" for name in LEADS)])
    count = len(HOSTS) + len(CRAFTED) + len(LEADS)

    async def elsewhere(_: Received) -> bytes:
        location = next(locations).encode("ascii", "replace").decode().replace("\r\n", "%0d%0a")
        return answer(307, b"", f"Location: {location}")

    async with receiver(tls=_server_tls(authority, "hooks.example.com")) as there:
        there.answer = elsewhere
        wires = Wires(there.port)
        async with courier(private=False, inner=wires, resolve=resolve, tls=trusting) as carrying:
            ended = {await carrying.post(Target("https", "hooks.example.com", 443, "/"), {}, b"") for _ in range(count)}
    assert ended == {Attempt(Failure.redirect, 307, "")}
    assert len(there.received) == count
    assert (set(wires.asked), bait.connects) == ({PUBLIC}, 0)


async def test_a_name_that_leads_elsewhere_each_time_is_connected_to_only_where_it_was_looked_at(
    authority: trustme.CA, trusting: ssl.SSLContext, bait: Receiver
) -> None:
    answers = cycle([[PUBLIC], *([address.strip("[]")] for address in NOT_PUBLIC)])
    looked = 0

    async def rebind(_: str, __: int) -> list[str]:
        nonlocal looked
        looked += 1
        return next(answers)

    async def closing(_: Received) -> bytes:
        return answer(200, b"", "Connection: close")

    count = 2 * (len(NOT_PUBLIC) + 1)
    async with receiver(tls=_server_tls(authority, "rebind.example.com")) as there:
        there.answer = closing
        wires = Wires(there.port)
        async with courier(private=False, inner=wires, resolve=rebind, tls=trusting) as carrying:
            ended = [
                await carrying.post(Target("https", "rebind.example.com", 443, "/"), {}, b"") for _ in range(count)
            ]
    assert [each.failure for each in ended].count(None) == 2
    assert {each.failure for each in ended} == {None, Failure.not_public}
    # Resolved once for each connection: between the look and the connection there is no second question.
    assert looked == count
    assert wires.asked == [PUBLIC, PUBLIC]
    assert bait.connects == 0


async def test_no_proxy_of_the_environment_is_used(
    authority: trustme.CA, trusting: ssl.SSLContext, bait: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{bait.port}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{bait.port}")

    async def resolve(_: str, __: int) -> list[str]:
        return [PUBLIC]

    async with receiver(tls=_server_tls(authority, "hooks.example.com")) as there:
        wires = Wires(there.port)
        async with courier(private=False, inner=wires, resolve=resolve, tls=trusting) as carrying:
            assert (await carrying.post(Target("https", "hooks.example.com", 443, "/"), {}, b"")).failure is None
    assert bait.connects == 0


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "1.1.1.1", "223.255.255.254", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"],
)
def test_public_addresses_are_public(address: str) -> None:
    assert targets.is_public(address)
    host = f"[{address}]" if ":" in address else address
    assert targets.parse(f"https://{host}/x", private=False) == Target("https", address, 443, "/x")


def test_the_parts_of_a_url_are_those_that_it_has() -> None:
    for url, expected in [
        ("HTTPS://Hooks.Example.COM", Target("https", "hooks.example.com", 443, "/")),
        ("https://a.example:8443/In/Case?x=Y", Target("https", "a.example", 8443, "/In/Case?x=Y")),
        ("https://a.example?x=y", Target("https", "a.example", 443, "/?x=y")),
    ]:
        assert targets.parse(url, private=False) == expected
    assert targets.parse("https://a.example:8443", private=False).authority == "a.example:8443"
    assert targets.parse("http://[::1]:80/", private=True).authority == "[::1]"


async def test_every_failure_of_the_way_has_its_name(authority: trustme.CA, bait: Receiver) -> None:
    async def unknown(_: str, __: int) -> list[str]:
        raise http_client.NameUnknown

    async def nonsense(_: Received) -> bytes:
        return b"SSH-2.0-OpenSSH\r\n\r\n"

    async def ends(target: Target, **more: Any) -> Failure | None:
        async with courier(private=True, seconds=0.5, **more) as carrying:
            return (await carrying.post(target, {}, b"")).failure

    async with receiver(tls=_server_tls(authority, "hooks.example.com")) as there:
        assert await ends(Target("https", "127.0.0.1", there.port, "/")) is Failure.tls
    # One that never says a word to a handshake.
    assert await ends(Target("https", "127.0.0.1", bait.port, "/")) is Failure.timeout

    assert await ends(Target("http", "nowhere.example", 80, "/"), resolve=unknown) is Failure.name
    assert await ends(Target("http", "127.0.0.1", 1, "/")) is Failure.connect
    bait.answer = nonsense
    assert await ends(Target("http", "127.0.0.1", bait.port, "/")) is Failure.protocol


async def test_a_connection_is_used_again_unless_the_receiver_has_closed_it(bait: Receiver) -> None:
    target = Target("http", "127.0.0.1", bait.port, "/")
    async with courier(private=True) as carrying:
        for _ in range(3):
            assert (await carrying.post(target, {}, b"")).failure is None
        assert bait.connects == 1
        bait.hangs_up = True
        for _ in range(3):
            assert (await carrying.post(target, {}, b"")).failure is None
            await bait.hung_up.wait()
            bait.hung_up.clear()
        assert bait.connects == 3
