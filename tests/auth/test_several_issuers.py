"""Several identity providers at once: the block of docs/identity-providers.md, each issuer with real keys of its own.
Both call theirs by the same ids."""

import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.auth.dependencies import Actor, Unauthenticated
from app.auth.roles import Role
from tests.auth.test_identity_providers import BLOCKS
from tests.conftest import ADMIN_KEY, client_for
from tests.support.identity_provider import AUDIENCE, ISSUER, RS256, Provider, claims, started

[_WRITTEN] = shlex.split(BLOCKS["Several issuers"])
STAFF, CUSTOMERS = json.loads(_WRITTEN.removeprefix("NINETY_JWT_PROVIDERS="))
LEAD = {"iss": STAFF["issuer"], "aud": STAFF["audience"], "sub": "ann", "roles": ["Ninety.Lead"]}
MACHINE = LEAD | {"sub": "loader", "roles": ["Ninety.Export"], "scp": "ninety/events:read"}
CUSTOMER = {"iss": CUSTOMERS["issuer"], "aud": CUSTOMERS["audience"], "sub": "shop-7"}


@pytest.fixture
async def customers() -> AsyncIterator[Provider]:
    async with Provider.running() as made:
        yield made


@pytest.fixture
async def app(provider: Provider, customers: Provider, database_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """Which takes the tokens of both, and of a third one that is set as the only one would be."""
    third = {"jwt_secret": "s" * 32}
    written = json.dumps(
        [
            {**STAFF, "jwks_url": provider.url, "allow_http": True},
            {**CUSTOMERS, "jwks_url": customers.url, "allow_http": True},
        ]
    )
    async with started(database_url, tmp_path, jwt_providers=written, **third) as made:
        async with client_for(made, ADMIN_KEY) as admin:
            for path, body in (
                ("/v1/agents", {"name": "Ann", "external_id": "ann"}),
                ("/v1/customers", {"name": "Shopper", "external_id": "shop-7"}),
            ):
                assert (await admin.post(path, json=body)).status_code == 201
        yield made


def signed(by: Provider, said: dict[str, Any], **changed: Any) -> str:
    """Whatever it says: for a token the library would look at it first."""
    payload = json.dumps(claims(role=None) | said | changed).encode()
    return jwt.PyJWS().encode(payload, by.private[RS256], RS256, headers={"kid": RS256})


async def role(app: FastAPI, token: str) -> Role:
    actor: Actor = await app.state.credentials.actor(token)
    return actor.role


async def test_each_issuer_has_its_own_keys_audience_and_words(
    app: FastAPI, provider: Provider, customers: Provider
) -> None:
    assert await role(app, signed(provider, LEAD)) is Role.lead
    assert await role(app, signed(customers, CUSTOMER)) is Role.customer
    actor = await app.state.credentials.actor(signed(provider, MACHINE))
    assert (actor.role, actor.scopes, actor.agent_id) == (Role.service, {"events:read"}, None)
    assert await role(app, jwt.encode(claims(iss=ISSUER, aud=AUDIENCE), "s" * 32, "HS256")) is Role.admin


async def test_nobody_speaks_for_another_issuer(app: FastAPI, provider: Provider, customers: Provider) -> None:
    wrong = {
        "the other one's key": signed(customers, LEAD),
        "the other one's key, too": signed(provider, CUSTOMER),
        "the other one's audience": signed(provider, LEAD, aud=CUSTOMER["aud"]),
        "the other one's words": signed(customers, CUSTOMER, roles=["Ninety.Lead"], role="admin", aud=LEAD["aud"]),
        "an issuer that nobody knows": signed(provider, LEAD, iss="https://else.example"),
        "both issuers": signed(customers, LEAD, iss=[LEAD["iss"], CUSTOMER["iss"]]),
        "no issuer": signed(provider, {name: value for name, value in LEAD.items() if name != "iss"}, iss=""),
        "a shared secret that is another's": jwt.encode(claims(role=None) | LEAD, "s" * 32, "HS256"),
        "the secret's issuer, a key of another": signed(provider, {"role": "admin"}, iss=ISSUER, aud=AUDIENCE),
    }
    reasons = {}
    for name, token in wrong.items():
        with pytest.raises(Unauthenticated, match="not valid here") as refused:
            await app.state.credentials.actor(token)
        reasons[name] = refused.value.reason
    assert reasons["the other one's key"] == reasons["the other one's key, too"] == "Signature verification failed"
    assert reasons["an issuer that nobody knows"] == "the issuer is none of those that are known"
    # What another provider's word says of a role counts for nothing: they are all customers.
    assert await role(app, signed(customers, CUSTOMER, roles=["Ninety.Lead"], role="admin")) is Role.customer


async def test_one_that_is_away_or_asked_for_unknown_keys_is_nothing_to_the_others(
    app: FastAPI, provider: Provider, customers: Provider
) -> None:
    await customers.go_away()
    statuses = []
    unknown = jwt.encode(claims(role=None) | CUSTOMER, customers.private[RS256], RS256, headers={"kid": "unknown"})
    for token in (unknown, signed(customers, CUSTOMER), signed(provider, LEAD)):
        async with client_for(app, token) as http:
            answer: httpx.Response = await http.get("/v1/tickets")
            statuses.append(answer.status_code)
    assert statuses == [503, 503, 200]
    assert (customers.fetches, provider.fetches) == (0, 1)


async def test_the_log_names_why_and_nothing_of_the_token(app: FastAPI, provider: Provider) -> None:
    token = signed(provider, LEAD, iss="https://else.example")
    with capture_logs() as lines:
        async with client_for(app, token) as http:
            assert (await http.get("/v1/tickets")).status_code == 401
            assert (await http.get("/v1/tickets", headers={"Authorization": "Bearer e30.e30.e30"})).status_code == 401
    reasons = [line["reason"] for line in lines if line["event"] == "unauthenticated"]
    assert reasons[0] == "the issuer is none of those that are known"
    assert len(reasons) == 2
    assert "else.example" not in str(lines)
