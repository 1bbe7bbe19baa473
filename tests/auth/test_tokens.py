"""Tokens of an identity provider beside keys: which are good, for whom they stand, and which are not."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from fastapi import FastAPI

from tests.conftest import ADMIN_KEY, client_for
from tests.support.identity_provider import (
    AUDIENCE,
    EDDSA,
    ES256,
    ISSUER,
    RS256,
    Provider,
    claims,
    jwk,
    new_key,
    pem,
    started,
)

SECRET = "a shared secret of thirty-two bytes or more"
# Of these the provider may have made the key a moment ago.
NAMES_A_NEW_KEY = {"key in the header", "key behind a header's URL", "unknown kid", "kid a path"}
UNKNOWN = str(UUID(int=7))
Maker = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def app(trusting: FastAPI) -> FastAPI:
    return trusting


async def ask(app: FastAPI, token: str, path: str = "/v1/tickets") -> httpx.Response:
    async with client_for(app, token) as http:
        return await http.get(path)


async def statuses(app: FastAPI, *tokens: str) -> list[int]:
    return [(await ask(app, token)).status_code for token in tokens]


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def with_hmac(secret: bytes, header: dict[str, Any], payload: object) -> str:
    """Signed by hand, because the library refuses to sign with a public key."""
    signed = f"{part(header)}.{part(payload)}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def bad_tokens(provider: Provider) -> Iterator[tuple[str, str]]:
    """Each is one step away from a good one."""
    good, now, sign = provider.sign(), time.time(), provider.sign
    head, body, signature = good.split(".")
    public = pem(provider.private[RS256])
    stranger = new_key(RS256)
    yield "alg none", f"{part({'alg': 'none', 'kid': RS256})}.{body}."
    yield "alg none, signed", f"{part({'alg': 'none', 'kid': RS256})}.{body}.{signature}"
    yield "alg None", f"{part({'alg': 'None', 'kid': RS256})}.{body}.{signature}"
    yield "no alg", f"{part({'kid': RS256})}.{body}.{signature}"
    yield "alg a list", f"{part({'alg': ['RS256'], 'kid': RS256})}.{body}.{signature}"
    yield "hmac with the public key", with_hmac(public.encode(), {"alg": "HS256", "kid": RS256}, claims())
    yield "hmac with the modulus", with_hmac(provider.keys[0]["n"].encode(), {"alg": "HS256", "kid": RS256}, claims())
    yield "another alg than is allowed", jwt.encode(claims(), provider.private[RS256], "RS512", {"kid": RS256})
    yield "alg of another key", f"{part({'alg': 'ES256', 'kid': RS256})}.{body}.{signature}"
    yield "another signer", jwt.encode(claims(), stranger, RS256, {"kid": RS256})
    yield "key in the header", jwt.encode(claims(), stranger, RS256, {"kid": "x", "jwk": jwk(stranger, RS256)})
    yield "key behind a header's URL", jwt.encode(claims(), stranger, RS256, {"jku": provider.url, "kid": "x"})
    yield "unknown kid", sign(header={"kid": "nobody"})
    yield "kid of another kind of key", sign(header={"kid": ES256})
    yield "kid a number", f"{part({'alg': RS256, 'kid': 1})}.{body}.{signature}"
    yield "kid a path", sign(header={"kid": "../../dev/null"})
    yield "kid empty", sign(header={"kid": ""})
    yield "kid endless", sign(header={"kid": "k" * 1_000})
    yield "crit", sign(header={"crit": ["exp"]})
    yield "crit empty", f"{part({'alg': RS256, 'kid': RS256, 'crit': []})}.{body}.{signature}"
    yield "another type", sign(header={"typ": "logout+jwt"})
    yield "payload changed", f"{head}.{part(claims(sub='eve'))}.{signature}"
    yield "signature cut", good[:-4]
    yield "signature empty", f"{head}.{body}."
    yield "no signature", f"{head}.{body}"
    yield "five parts", f"{good}.{body}.{signature}"
    yield "header no JSON", f"{part(b'{')}.{body}.{signature}"
    yield "header a list", f"{part([])}.{body}.{signature}"
    yield "header very deep", f"{part(b'[' * 3_000)}.{body}.{signature}"
    yield "not base64", f"{head}.{body}.{signature}="
    yield "too large", sign(padding="x" * 9_000)
    yield "expired", sign(exp=int(now) - 60)
    yield "no exp", sign(exp=None)
    yield "exp a string", sign(exp=str(int(now) + 300))
    yield "exp true", sign(exp=True)
    yield "exp infinite", with_infinite_exp(provider)
    yield "exp far away", sign(exp=1e300)
    yield "exp in eleven years", sign(exp=int(now) + 11 * 366 * 86_400)
    yield "exp not a number", sign_raw(provider, json.dumps(claims(exp=float("nan"))).encode())
    for name, value in {"role": "agent", "sub": "eve", "exp": int(now) + 300, "scope": "tickets:read"}.items():
        yield f"{name} twice", sign_raw(provider, twice(claims(scope="goals:read"), name, value))
    yield "twice the same", sign_raw(provider, twice(claims(), "role", "admin"))
    yield (
        "twice further down",
        sign_raw(provider, json.dumps({**claims(), "x": 0}).replace("0}", '{"a":1,"a":1}}').encode()),
    )
    yield "alg twice", by_hand(provider, twice({"alg": RS256, "kid": RS256}, "alg", RS256), claims())
    yield "not yet", sign(nbf=int(now) + 300)
    yield "nbf a string", sign(nbf="soon")
    yield "issued tomorrow", sign(iat=int(now) + 86_400)
    yield "no issuer", sign(iss=None)
    yield "another issuer", sign(iss="https://id.example")
    yield "issuer a list", sign_raw(provider, {**claims(), "iss": [ISSUER]})
    yield "no audience", sign(aud=None)
    yield "another audience", sign(aud="ninetyish")
    yield "other audiences", sign(aud=["a", "b"])
    yield "audience a number", sign(aud=90)
    yield "no subject", sign(sub=None)
    yield "subject empty", sign(sub="")
    yield "subject a number", sign_raw(provider, {**claims(), "sub": 1})
    yield "subject with NUL", sign(sub="a\0da")
    yield "no role", sign(role=None)
    yield "unknown role", sign(role="root")
    yield "two roles, none of them here", sign(role=["root", "boss"])
    yield "role an object", sign(role=[{"admin": True}])
    yield "scope a number", sign(scope=7)
    yield "customer without customer", sign(role="customer")
    yield "customer nobody knows", sign(role="customer", customer_id=UNKNOWN)
    yield "customer no id", sign(role="customer", customer_id="' OR 1=1")
    yield "agent nobody knows", sign(role="agent", agent_id=UNKNOWN)
    yield "agent by no subject", sign(role="lead", sub="nobody here")
    yield "admin as an agent nobody knows", sign(agent_id=UNKNOWN)
    yield "payload a list", sign_raw(provider, b"[]")
    yield "payload no UTF-8", sign_raw(provider, b'{"a": "\xff"}')
    yield "a key's beginning", f"nty_{good}"


def sign_raw(provider: Provider, payload: object) -> str:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return jwt.api_jws.encode(raw, provider.private[RS256], RS256, {"kid": RS256})


def twice(members: dict[str, Any], name: str, value: object) -> bytes:
    """JSON in which a name comes once more, in front."""
    return f'{{"{name}": {json.dumps(value)}, {json.dumps(members)[1:]}'.encode()


def by_hand(provider: Provider, header: bytes, payload: object) -> str:
    signed = f"{part(header)}.{part(payload)}"
    signature = jwt.get_algorithm_by_name(RS256).sign(signed.encode(), provider.private[RS256])
    return f"{signed}.{part(signature)}"


def with_infinite_exp(provider: Provider) -> str:
    return sign_raw(provider, json.dumps(claims(exp=1e300)).replace("1e+300", "1e999").encode())


async def test_no_bad_token_lets_anybody_in_or_says_why(
    app: FastAPI, provider: Provider, figure: Callable[[str, int], None]
) -> None:
    assert await statuses(app, provider.sign()) == [200]
    told, wrong = set(), []
    tokens = dict(bad_tokens(provider))
    for name, token in tokens.items():
        answer = await ask(app, token)
        if name in NAMES_A_NEW_KEY:
            assert (answer.status_code, answer.json()["code"]) == (503, "token_key_unknown"), name
            continue
        if (answer.status_code, answer.headers.get("www-authenticate")) != (401, 'Bearer realm="ninety"'):
            wrong.append((name, answer.status_code, answer.text))
            continue
        assert answer.json()["code"] == "unauthenticated", name
        assert token not in answer.text, name
        told.add(answer.json()["detail"])
    assert wrong == []
    assert len(tokens) >= 60
    figure("tokens refused", len(tokens))
    # Nothing that helps to forge a better one.
    assert told == {
        "the token is not valid here",
        "the token has expired",
        "this is neither a key nor a token",
        "this is not a key",
        "the token is good, and nobody here is the one it names",
    }


@pytest.mark.parametrize("algorithm", [RS256, ES256, EDDSA])
async def test_tokens_of_every_kind_of_key_are_good(app: FastAPI, provider: Provider, algorithm: str) -> None:
    now = int(time.time())
    good = [
        provider.sign(algorithm),
        provider.sign(algorithm, header={"typ": "at+jwt"}),
        provider.sign(algorithm, aud=["other", AUDIENCE], nbf=now, iat=None),
        # Clocks differ a little.
        provider.sign(algorithm, exp=now - 10, iat=now + 10, nbf=now + 10),
    ]
    assert await statuses(app, *good, ADMIN_KEY) == [200] * 5
    # Without a key id the only key that fits the algorithm is meant.
    assert await statuses(app, jwt.encode(claims(), provider.private[algorithm], algorithm)) == [200]


async def test_a_shared_secret_signs_with_hs256_and_nothing_else(database_url: str, tmp_path: Path) -> None:
    async with started(database_url, tmp_path, jwt_secret=SECRET) as app:
        good = jwt.encode(claims(), SECRET, "HS256")
        bad = [
            jwt.encode(claims(), SECRET + "!", "HS256"),
            jwt.encode(claims(), SECRET * 2, "HS512"),
            jwt.encode(claims(), new_key(RS256), RS256),
            f"{part({'alg': 'none'})}.{part(claims())}.{part(b'x')}",
        ]
        assert await statuses(app, good, *bad) == [200, 401, 401, 401, 401]


async def test_a_public_key_verifies_by_its_own_algorithm(database_url: str, tmp_path: Path) -> None:
    key = new_key(ES256)
    async with started(database_url, tmp_path, jwt_public_key=pem(key)) as app:
        bad = [jwt.encode(claims(), new_key(ES256), ES256), with_hmac(pem(key).encode(), {"alg": "HS256"}, claims())]
        assert await statuses(app, jwt.encode(claims(), key, ES256), *bad) == [200, 401, 401]


async def test_claims_may_have_other_names(provider: Provider, database_url: str, tmp_path: Path) -> None:
    names = {"jwt_role_claim": "realm_access.roles", "jwt_scope_claim": "https://ninety.example/may"}
    async with started(database_url, tmp_path, jwt_jwks_url=provider.url, **names) as app:
        nested: dict[str, Any] = {"role": None, "realm_access": {"roles": ["offline_access", "admin"]}}
        whole = provider.sign(**nested, scope="openid profile")
        named: dict[str, Any] = {"https://ninety.example/may": ["tickets:write"]}
        narrow = provider.sign(**nested, **named)
        assert await statuses(app, whole, narrow, provider.sign()) == [200, 403, 401]


async def test_scopes_of_a_token_narrow_its_role_and_never_widen_it(app: FastAPI, provider: Provider) -> None:
    async def may(path: str, **changed: Any) -> int:
        return (await ask(app, provider.sign(**changed), path)).status_code

    assert await may("/v1/api-keys") == 200
    assert await may("/v1/api-keys", scope="openid tickets:read") == 403
    assert await may("/v1/tickets", scope="openid tickets:read") == 200
    assert await may("/v1/tickets", scope="openid") == 200
    assert await may("/v1/tickets", scope="") == 403
    assert await may("/v1/tickets", role="service") == 403
    assert await may("/v1/tickets", role="service", scope="tickets:read") == 200
    async with client_for(app, ADMIN_KEY) as admin:
        customer = (await admin.post("/v1/customers", json={"name": "Ada"})).json()["id"]
    theirs = {"role": "customer", "customer_id": customer}
    assert await may("/v1/tickets", **theirs) == 200
    assert await may("/v1/api-keys", **theirs, scope="keys:read tickets:read") == 403


async def test_a_customers_token_stands_for_who_they_were_merged_into_and_ends_with_them(
    app: FastAPI, provider: Provider, client: httpx.AsyncClient
) -> None:
    first, second = [
        (await client.post("/v1/customers", json={"name": name})).json()["id"] for name in ("Ada", "Ada L.")
    ]
    body = {"subject": "Charged twice", "customer": {"id": second}}
    ticket = (await client.post("/v1/tickets", json=body)).json()["id"]
    token = provider.sign(role="customer", customer_id=first)
    assert (await ask(app, token)).json()["items"] == []
    assert (await client.post(f"/v1/customers/{first}/merge", json={"into": second})).status_code == 200
    forget(app)
    assert [each["id"] for each in (await ask(app, token)).json()["items"]] == [ticket]
    assert (await client.post(f"/v1/customers/{second}/erase")).status_code == 200
    forget(app)
    assert await statuses(app, token, provider.sign(role="customer", customer_id=second)) == [401, 401]


async def test_an_agents_token_is_the_agent_it_names_or_the_one_called_like_its_subject(
    app: FastAPI, provider: Provider, client: httpx.AsyncClient, open_ticket: Maker
) -> None:
    made = [await client.post("/v1/agents", json={"name": name, "external_id": name}) for name in ("ann", "ben")]
    ann, ben = [answer.json()["id"] for answer in made]
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}/messages"

    async def author(**changed: Any) -> Any:
        async with client_for(app, provider.sign(**changed)) as http:
            return (await http.post(path, json={"body": "Hello."})).json()["author"]

    assert await author(role="agent", sub="x", agent_id=ann) == {"kind": "agent", "id": ann}
    assert await author(role="lead", sub="ben") == {"kind": "agent", "id": ben}
    assert await author(role="admin", sub="ann") == {"kind": "agent", "id": ann}
    # A machine is no agent only because it is called like one.
    for subject, scope in [("ann", "tickets:write"), ("ann", "tickets:write tickets:read"), ("x", "tickets:write")]:
        assert await author(role="service", sub=subject, scope=scope) == {"kind": "bot", "id": None}
    await client.delete(f"/v1/agents/{ann}")
    forget(app)
    tokens = [provider.sign(role="agent", **who) for who in ({"agent_id": ann}, {"sub": "ann"})]
    assert await statuses(app, *tokens) == [401, 401]


async def test_a_token_is_remembered_for_seconds_and_never_past_its_end(app: FastAPI, provider: Provider) -> None:
    async def seconds(**changed: Any) -> float:
        token = provider.sign(**changed)
        assert await statuses(app, token) == [200]
        until, _ = app.state.credentials._known[hashlib.sha256(token.encode()).digest()]
        return float(until) - time.monotonic()

    assert 2 < await seconds() <= 3
    assert await seconds(exp=int(time.time()) - 29) <= 2
    assert provider.fetches == 1


async def test_bad_credentials_cost_no_more_than_one_read_and_are_remembered_in_bounds(
    app: FastAPI, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = app.state.credentials
    reads = 0
    run = credentials._db.run

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal reads
        reads += 1
        return await run(*args, **options)

    monkeypatch.setattr(credentials._db, "run", counted)
    wrong = ADMIN_KEY[:-4] + ("aaaa" if not ADMIN_KEY.endswith("aaaa") else "bbbb")
    assert await statuses(app, *[wrong] * 5) == [401] * 5
    assert reads == 1
    await statuses(app, "nty_", "nty_x_y", "x", "a.b.c", ADMIN_KEY + "x", provider.sign(role="root"))
    assert reads == 1
    # Who made up ten thousand keys pushes out the oldest of them, and nobody who is let in.
    monkeypatch.setattr(credentials, "_refused", type(credentials._refused)(50))
    known = len(credentials._known)
    for n in range(120):
        await ask(app, f"x{n}")
    assert (len(credentials._refused), len(credentials._known)) == (50, known)


def forget(app: FastAPI) -> None:
    app.state.credentials._known.clear()
    app.state.credentials._refused.clear()
