"""The blocks of docs/identity-providers.md, each with tokens of the shape that its provider makes, signed with real
keys. Only where the keys are is another place."""

import re
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from structlog.testing import capture_logs

from app.auth.dependencies import Actor, Unauthenticated
from app.auth.roles import Role
from tests.conftest import ADMIN_KEY, client_for
from tests.support.identity_provider import RS256, Provider, claims, started

PAGE = Path(__file__).parents[2] / "docs" / "identity-providers.md"
BLOCKS = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```sh\n(.*?)```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
OID = "0aa1bb22-cc33-dd44-ee55-ff6677889900"
TENANT = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"
POOL = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Acme"
USERS, MACHINE = "1example23456789", "2example23456789"

# Provider, what the token says, the role and the external_id of the agent it stands for (None: nobody is needed).
GOOD: list[tuple[str, dict[str, Any], Role, str | None]] = [
    (
        "Keycloak",
        {
            "iss": "https://id.example/realms/acme", "aud": ["ninety", "account"], "sub": "f:1:ann", "typ": "Bearer",
            "azp": "desk", "scope": "openid profile email",
            "realm_access": {"roles": ["admin", "offline_access", "support-agent", "support-lead"]},
        },
        Role.lead,
        "f:1:ann",
    ),
    (
        "Auth0",
        {
            "iss": "https://acme.eu.auth0.com/", "sub": "auth0|ann", "azp": "x", "scope": "openid profile",
            "aud": ["https://ninety.example", "https://acme.eu.auth0.com/userinfo"],
            "https://ninety.example/roles": ["Support Agent"],
        },
        Role.agent,
        "auth0|ann",
    ),
    (
        "Entra ID",
        {
            "iss": TENANT, "aud": "66666666-7777-8888-9999-000000000000", "sub": "pairwise", "oid": OID, "ver": "2.0",
            "scp": "access_as_user", "roles": ["Ninety.Agent"], "tid": "11111111-2222-3333-4444-555555555555",
        },
        Role.agent,
        OID,
    ),
    (
        "Okta",
        {
            "iss": "https://acme.okta.com/oauth2/default", "aud": "api://default", "cid": "0oa1", "uid": "00u1",
            "scp": ["openid", "offline_access"], "sub": "ann@acme.example", "groups": ["Everyone", "Support"],
        },
        Role.agent,
        "00u1",
    ),
    (
        "Cognito",
        {
            "iss": POOL, "aud": None, "client_id": USERS, "sub": "ann-sub", "token_use": "access",
            "scope": "aws.cognito.signin.user.admin openid", "cognito:groups": ["support"], "username": "ann",
        },
        Role.agent,
        "ann-sub",
    ),
    (
        "Cognito",
        {
            "iss": POOL, "aud": None, "client_id": MACHINE, "sub": MACHINE, "token_use": "access",
            "scope": "ninety/tickets:read other/tickets:write",
        },
        Role.service,
        None,
    ),
    (
        "Google",
        {
            "iss": "https://accounts.google.com", "aud": "1234-abc.apps.googleusercontent.com", "sub": "1089",
            "azp": "1234-abc.apps.googleusercontent.com", "email": "ann@acme.example", "email_verified": True,
        },
        Role.agent,
        "1089",
    ),
    ("Any OIDC", {"iss": "https://id.example", "aud": "ninety", "sub": "ann", "role": "agent"}, Role.agent, "ann"),
]  # fmt: skip


def block(name: str, provider: Provider) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in BLOCKS[name].splitlines())
    return {key.removeprefix("NINETY_").lower(): value for key, value in pairs} | {"jwt_jwks_url": provider.url}


def signed(provider: Provider, said: dict[str, Any], **header: str) -> str:
    whole = claims(**{"role": None, **said})
    return jwt.encode(whole, provider.private[RS256], RS256, headers={"kid": RS256, **header})


def test_every_provider_has_a_block_and_every_block_a_token() -> None:
    assert set(BLOCKS) == {name for name, *_ in GOOD} | {"Several issuers"}


@pytest.mark.parametrize(("name", "said", "role", "external_id"), GOOD)
async def test_a_token_of_the_provider_is_who_it_says(
    provider: Provider, database_url: str, tmp_path: Path,
    name: str, said: dict[str, Any], role: Role, external_id: str | None,
) -> None:  # fmt: skip
    async with started(database_url, tmp_path, **block(name, provider)) as app:
        token = signed(provider, said)
        if external_id is not None:
            with pytest.raises(Unauthenticated, match="nobody here"):
                await app.state.credentials.actor(token)
            async with client_for(app, ADMIN_KEY) as admin:
                agent = await admin.post("/v1/agents", json={"name": "Ann", "external_id": external_id})
            assert agent.status_code == 201, agent.text
            token = signed(provider, said, typ="at+jwt")
        actor: Actor = await app.state.credentials.actor(token)
        assert actor.role is role
        assert str(actor.agent_id) == (agent.json()["id"] if external_id else "None")
        assert ("tickets:write" in actor.scopes) is (role is not Role.service)
        assert "tickets:read" in actor.scopes
        for wrong in ({"iss": "https://else.example"}, {"aud": "else", "client_id": "else"}):
            with pytest.raises(Unauthenticated, match="not valid here"):
                await app.state.credentials.actor(signed(provider, said | wrong))


async def test_a_word_that_the_map_does_not_have_is_no_role(
    provider: Provider, database_url: str, tmp_path: Path
) -> None:
    async with started(database_url, tmp_path, **block("Keycloak", provider)) as app:
        said = {"iss": "https://id.example/realms/acme", "realm_access": {"roles": ["admin"]}}
        with pytest.raises(Unauthenticated) as refused:
            await app.state.credentials.actor(signed(provider, said))
        assert refused.value.reason == "none of the token's roles is one here"


async def test_a_customer_is_known_by_the_named_claim_alone(
    provider: Provider, database_url: str, tmp_path: Path
) -> None:
    said = {"role": "customer", "sub": "crm-7", "oid": "crm-7"}
    cases: list[tuple[dict[str, Any], int]] = [({}, 401), ({"jwt_external_id_claim": "oid"}, 200)]
    for settings, status in cases:
        async with started(database_url, tmp_path, jwt_jwks_url=provider.url, **settings) as app:
            async with client_for(app, ADMIN_KEY) as admin:
                made = await admin.post("/v1/customers", json={"name": "Ada", "external_id": "crm-7"})
                assert made.status_code in (201, 409), made.text
            async with client_for(app, signed(provider, said)) as theirs:
                assert (await theirs.get("/v1/tickets")).status_code == status


async def test_every_401_has_its_reason_in_the_log_and_not_the_token(
    provider: Provider, database_url: str, tmp_path: Path
) -> None:
    async with started(database_url, tmp_path, jwt_jwks_url=provider.url) as app:
        token = provider.sign(aud="else")
        with capture_logs() as lines:
            async with client_for(app, token) as http:
                answers: list[httpx.Response] = [await http.get("/v1/tickets") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert [line["reason"] for line in lines if line["event"] == "unauthenticated"] == ["Audience doesn't match"] * 2
    assert token.split(".")[1] not in str(lines)


@pytest.mark.parametrize(
    ("scope", "status"),
    [("ninety/unheard:of", 403), ("ninety/unheard:of openid", 403), ("openid", 200), ("ninety/tickets:read", 200)],
)
async def test_scopes_with_our_prefix_that_nobody_here_knows_are_no_scopes(
    provider: Provider, database_url: str, tmp_path: Path, scope: str, status: int
) -> None:
    settings = {"jwt_jwks_url": provider.url, "jwt_scope_prefix": "ninety/"}
    token = provider.sign(scope=scope)
    async with started(database_url, tmp_path, **settings) as app, client_for(app, token) as http:
        assert (await http.get("/v1/tickets")).status_code == status
        if "ninety/" in scope:
            known = ["tickets:read"] if status == 200 else []
            assert (await http.get("/v1/me")).json()["scopes"] == known


async def test_a_key_that_may_be_new_is_503_until_the_keys_are_asked_for_again(
    provider: Provider, database_url: str, tmp_path: Path
) -> None:
    async with started(database_url, tmp_path, jwt_jwks_url=provider.url) as app:
        statuses: list[httpx.Response] = []
        for kid in (RS256, "new"):
            async with client_for(app, provider.sign(header={"kid": kid})) as http:
                statuses.append(await http.get("/v1/tickets"))
        assert [answer.status_code for answer in statuses] == [200, 503]
        assert 1 <= int(statuses[1].headers["retry-after"]) <= 10
