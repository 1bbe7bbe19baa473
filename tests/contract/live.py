"""A live service with somebody of each role in it, for tools that know no more than its address and a key."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from app.auth.roles import SCOPES
from tests.faults.harness import ADMIN_KEY, directory, service
from tests.support.openapi import things

ROLES = ("customer", "agent", "lead", "admin", "service")
CUSTOMER = "somebody"
# Whoever asks ten thousand questions in a minute is not to be told so in place of an answer.
_TIRELESS = {f"NINETY_RATE_LIMIT_{role.upper()}": "1000000000" for role in ROLES}


@contextmanager
def live(settings: Mapping[str, str] = {}) -> Iterator[tuple[str, dict[str, str]]]:
    """Its URL, and a key by role."""
    with (
        directory() as place,
        service(place / "data", settings={**_TIRELESS, **settings}) as (url, _),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as admin,
    ):
        _until_ready(admin)
        yield url, {role: _key(admin, role) for role in ROLES}


def _until_ready(admin: httpx.Client) -> None:
    """Its worker, a process of its own, begins a little later."""
    until = time.monotonic() + 60
    while not admin.get("/readyz").is_success and time.monotonic() < until:
        time.sleep(0.1)


async def stock(url: str, each: int = 4) -> dict[str, list[str | int]]:
    """So many of each thing there is, the tickets the customer's own: ids by the names that paths use."""
    bearer = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=bearer, timeout=30) as admin:

        async def open_ticket(**body: Any) -> dict[str, Any]:
            answer = await admin.post("/v1/tickets", json={"subject": "Charged twice", **body})
            answer.raise_for_status()
            ticket: dict[str, Any] = answer.json()
            return ticket

        customer = await admin.get("/v1/customers", params={"external_id": CUSTOMER})
        [somebody] = customer.json()["items"]
        sets = [await things(admin, open_ticket, somebody["id"] if turn % 2 else None) for turn in range(each)]
    return {name: [ids[name] for ids in sets] for name in sets[0]}


def _key(admin: httpx.Client, role: str) -> str:
    if role == "admin":
        return ADMIN_KEY
    context: dict[str, Any] = {}
    if role == "customer":
        context = {"customer_id": _made(admin, "/v1/customers", {"external_id": CUSTOMER})["id"]}
    elif role == "service":
        context = {"scopes": sorted(SCOPES)}
    else:
        context = {"agent_id": _made(admin, "/v1/agents", {"name": role})["id"]}
    return str(_made(admin, "/v1/api-keys", {"name": role, "role": role, **context})["key"])


def _made(admin: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = admin.post(path, json=body)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made
