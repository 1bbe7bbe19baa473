"""The keys of an identity provider: they change, it goes away, and nobody makes it work for nothing."""

import asyncio

import pytest

from app.auth import jwks
from app.auth.jwks import COOLDOWN_SECONDS, Jwks, KeyNotYetKnown, ProviderAway, fits
from tests.support.identity_provider import EDDSA, ES256, RS256, Clock, Provider, jwk, new_key


async def settle(keys: Jwks) -> None:
    if keys._fetching is not None:
        await keys._fetching


async def test_many_who_ask_at_once_make_one_fetch(keys: Jwks, provider: Provider) -> None:
    provider.delay = 0.05
    found = await asyncio.gather(*(keys.key(name, name) for name in (RS256, ES256, EDDSA) for _ in range(50)))
    assert None not in found
    assert provider.fetches == 1


async def test_unknown_ids_fetch_once_in_a_while_and_not_each(keys: Jwks, provider: Provider, clock: Clock) -> None:
    for period in range(1, 4):
        found = await asyncio.gather(*(keys.key(f"unknown-{n}", RS256) for n in range(200)))
        assert set(found) == {None}
        assert provider.fetches == period
        clock.now += COOLDOWN_SECONDS


async def test_a_key_that_came_since_is_found_and_one_that_went_is_lost(
    keys: Jwks, provider: Provider, clock: Clock
) -> None:
    assert await keys.key(RS256, RS256)
    provider.keys = [jwk(new_key(RS256), RS256, kid="next")]
    clock.now += COOLDOWN_SECONDS
    assert await keys.key("next", RS256)
    with pytest.raises(KeyNotYetKnown):
        await keys.key(RS256, RS256)
    assert provider.fetches == 2


async def test_old_keys_are_looked_at_anew_while_they_serve(keys: Jwks, provider: Provider, clock: Clock) -> None:
    assert await keys.key(RS256, RS256)
    provider.keys, provider.delay = provider.keys[1:], 0.05
    clock.now += 301
    assert await keys.key(RS256, RS256)
    await settle(keys)
    clock.now += 1
    with pytest.raises(KeyNotYetKnown) as early:
        await keys.key(RS256, RS256)
    assert early.value.headers == {"Retry-After": "9"}
    clock.now += COOLDOWN_SECONDS
    assert await keys.key(RS256, RS256) is None


async def test_known_keys_outlast_a_provider_that_is_away_and_not_for_ever(
    keys: Jwks, provider: Provider, clock: Clock
) -> None:
    assert await keys.key(RS256, RS256)
    await provider.go_away()
    for _ in range(5):
        clock.now += 3_600
        assert await keys.key(RS256, RS256)
        await settle(keys)
    with pytest.raises(ProviderAway):
        await keys.key("unknown", RS256)
    clock.now += 86_400
    with pytest.raises(ProviderAway):
        await keys.key(RS256, RS256)


async def test_a_provider_that_comes_back_is_asked_again(keys: Jwks, provider: Provider, clock: Clock) -> None:
    provider.status = "503 Service Unavailable"
    for _ in range(100):
        with pytest.raises(ProviderAway):
            await keys.key(RS256, RS256)
    assert provider.fetches == 1
    provider.status = "200 OK"
    clock.now += COOLDOWN_SECONDS
    assert await keys.key(RS256, RS256)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("302 Found", "Location: /keys\r\n", b""),
        ("200 OK", "Content-Encoding: gzip\r\n", b"{}"),
        ("200 OK", "", b'{"keys": [' + b" " * 300_000 + b"]}"),
        ("200 OK", "", b"{"),
        ("200 OK", "", b"[]"),
        ("200 OK", "", b'{"keys": {}}'),
        ("200 OK", "", b'{"keys": []}'),
        ("200 OK", "", b'{"keys": [1, null, {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA", "n": 1, "e": "AQAB"}]}'),
        ("200 OK", "", b"[" * 100_000),
        ("404 Not Found", "", b'{"keys": []}'),
        ("nonsense", "", b""),
    ],
)
async def test_what_is_no_set_of_keys_is_a_provider_that_is_away(
    keys: Jwks, provider: Provider, status: str, headers: str, body: bytes
) -> None:
    provider.status, provider.headers, provider.body = status, headers, body
    with pytest.raises(ProviderAway):
        await keys.key(RS256, RS256)
    assert provider.fetches == 1


async def test_a_provider_that_takes_its_time_is_not_waited_for(
    keys: Jwks, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_FETCH_SECONDS", 0.05)
    provider.delay = 0.5
    with pytest.raises(ProviderAway):
        await keys.key(RS256, RS256)


async def test_who_leaves_does_not_take_the_keys_along(keys: Jwks, provider: Provider) -> None:
    provider.delay = 0.05
    first = asyncio.create_task(keys.key(RS256, RS256))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(keys.key(RS256, RS256))
    first.cancel()
    assert await second


async def test_what_a_key_says_of_itself_counts(keys: Jwks, provider: Provider, clock: Clock) -> None:
    key = provider.private[RS256]
    provider.keys = [
        jwk(key, RS256, kid="encrypts", use="enc"),
        jwk(key, RS256, kid="signs only", key_ops=["sign"]),
        jwk(key, RS256, kid="another alg", alg="PS256"),
        jwk(key, RS256, kid=5),
        {**jwk(key, RS256, kid="good"), "x-more": "is passed over"},
    ]
    names = ["encrypts", "signs only", "another alg", "5", "good"]
    found = []
    for name in names:
        found.append(await keys.key(name, RS256) is not None)
        clock.now += COOLDOWN_SECONDS
    assert found == [False, False, False, False, True]
    assert await keys.key("another alg", "PS256") is not None
    # Two keys fit, so no id means neither.
    assert await keys.key(None, "PS256") is None


def test_each_kind_of_key_has_its_own_algorithms() -> None:
    kinds = {name: new_key(name).public_key() for name in (RS256, ES256, "ES384", EDDSA)}
    algorithms = ("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "none")
    assert {name: [each for each in algorithms if fits(key, each)] for name, key in kinds.items()} == {
        "RS256": ["RS256", "PS512"],
        "ES256": ["ES256"],
        "ES384": ["ES384"],
        "EdDSA": ["EdDSA"],
    }
    assert not fits(new_key(RS256, 1024).public_key(), RS256)
    assert not fits(new_key(RS256), RS256)
