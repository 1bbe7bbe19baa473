"""Whatever a provider says its keys are: what is odd among them is passed over, the others serve, and the next document
is read all the same."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from hypothesis import given
from hypothesis import strategies as st

from app.auth.jwks import COOLDOWN_SECONDS, Jwks, ProviderAway, _usable, fits, http_client
from tests.support.identity_provider import EDDSA, ES256, RS256, Clock, Provider, jwk, new_key

GOOD = jwk(new_key(ES256), ES256, kid="good", key_ops=["verify"])
RSA = jwk(new_key(RS256), RS256, kid="odd", key_ops=["verify"])


def number(bits: int) -> str:
    return base64.urlsafe_b64encode(b"\xff" * (bits // 8)).rstrip(b"=").decode()


_ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**63,
    "",
    "x",
    "é",
    "\0",
    [],
    [None],
    {},
    {"verify": 1},
    [["verify"]],
]
ODD: list[Any] = [
    *_ODD_VALUES,
    *({**RSA, name: value} for name in (*RSA, "use", "alg", "d", "oth") for value in _ODD_VALUES),
    {"kty": "RSA"},
    {"kty": "oct", "k": "c2VjcmV0"},
    *({**RSA, "alg": word} for word in ("none", "HS256", "ES256", "EdDSA", "RS1")),
    {**RSA, "key_ops": "verify"},
    {**RSA, "e": "AA"},
    {**RSA, "n": number(1_000_000)},
    # Its factors would be looked for, for minutes.
    {**RSA, "n": number(500_000), "d": number(500_000)},
    *({"kty": "EC", "crv": curve, "x": "AQ", "y": number(256)} for curve in ("P-256", "P-999", None, ["P-256"])),
    *({"kty": "OKP", "crv": curve, "x": number(256)} for curve in ("Ed25519", "X25519", "Ed448", 5)),
]
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["RSA", "EC", "OKP", "oct", "sig", "verify", "RS256", "none", "P-256", "Ed25519", "AQAB"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*RSA, "crv", "x", "y", "use"]), inner),
    max_leaves=12,
)  # fmt: skip


async def test_an_odd_entry_is_passed_over_and_the_others_serve(keys: Jwks, provider: Provider, clock: Clock) -> None:
    for odd in ODD:
        for entries in ([odd, GOOD], [GOOD, odd]):
            provider.keys = entries
            assert await keys.key(str(provider.fetches), ES256) is None, odd
            assert await keys.key("good", ES256), odd
            clock.now += COOLDOWN_SECONDS
    assert provider.fetches == len(ODD) * 2


async def test_whatever_a_document_holds_the_next_one_is_read(keys: Jwks, provider: Provider, clock: Clock) -> None:
    documents = [*ODD, *({"keys": odd} for odd in ODD), {"keys": [{**RSA, "key_ops": None}]}, {"keys": [[GOOD]]}]
    for number, document in enumerate(documents):
        provider.body = json.dumps(document).encode()
        with pytest.raises(ProviderAway):
            await keys.key(f"unknown-{number}", RS256)
        provider.body, provider.keys = None, [{**GOOD, "kid": f"next-{number}"}]
        clock.now += COOLDOWN_SECONDS
        assert await keys.key(f"next-{number}", ES256), document
        clock.now += COOLDOWN_SECONDS


@given(entries=st.lists(_json | _json.map(lambda value: {**RSA, "key_ops": value}), max_size=4), whole=_json)
def test_no_json_does_more_than_hold_no_keys(entries: list[Any], whole: Any) -> None:
    assert [kid for kid, _, _ in _usable({"keys": [*entries, GOOD]})][-1:] == ["good"]
    for document in (whole, {"keys": whole}, {"keys": entries}):
        try:
            found = list(_usable(document))
        except ValueError:
            continue
        assert {kid for kid, _, _ in found} <= {"odd"}


async def test_an_endless_document_is_not_read_however_good_it_is(keys: Jwks, provider: Provider, clock: Clock) -> None:
    document = json.dumps({"keys": provider.keys}).encode()
    provider.body = document + b" " * 300_000
    with pytest.raises(ProviderAway):
        await keys.key(RS256, RS256)
    provider.body = document + b" " * 200_000
    clock.now += COOLDOWN_SECONDS
    assert await keys.key(RS256, RS256)


async def test_of_a_great_many_keys_the_first_hundred_count(keys: Jwks, provider: Provider, clock: Clock) -> None:
    provider.keys = [{**GOOD, "kid": str(n)} for n in range(101)]
    assert await keys.key("99", ES256)
    clock.now += COOLDOWN_SECONDS
    assert await keys.key("100", ES256) is None


async def test_no_proxy_of_the_environment_comes_between(
    provider: Provider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would say which keys are good."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with http_client() as http:
        keys = Jwks(provider.url, http, clock)
        assert await keys.key(EDDSA, EDDSA)
        await keys.close()


def test_an_rsa_key_is_neither_short_nor_longer_than_anybodys() -> None:
    for bits, fine in ((2040, False), (2048, True), (8192, True), (8200, False), (16_384, False)):
        key = RSAPublicNumbers(65_537, 2**bits - 1).public_key()
        assert fits(key, RS256) is fine, bits
