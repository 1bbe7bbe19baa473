"""How many tickets with their history a second come in through POST /v1/imports/tickets, one batch after the other."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson

from bench.rounds import Spread
from bench.services import Service
from bench.wrk import LoadError

_BATCH = 1_000
_CUSTOMERS = 500


async def import_rate(service: Service, batches: int) -> Spread:
    """Tickets a second: the median, the slowest and the fastest batch. By the caller's watch."""
    bodies = [_body(batch * _BATCH) for batch in range(batches)]
    headers = {**service.headers, "Content-Type": "application/json"}
    rates = []
    async with httpx.AsyncClient(base_url=service.base_url, headers=headers, timeout=60) as client:
        for body in bodies:
            began = time.perf_counter()
            answer = await client.post("/v1/imports/tickets", content=body)
            rates.append(_BATCH / (time.perf_counter() - began))
            if answer.status_code != 200 or answer.json()["created"] != _BATCH:
                raise LoadError(f"import answered {answer.status_code}: {answer.text[:500]}")
    return Spread.of(rates)


def _body(first: int) -> bytes:
    return orjson.dumps({"tickets": [_ticket(number) for number in range(first, first + _BATCH)]})


def _ticket(number: int) -> dict[str, Any]:
    opened = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=37 * number)
    return {
        "external_id": f"bench-import-{number}",
        "subject": f"Imported ticket {number}",
        "priority": "normal",
        "type": "question",
        "channel": "phone",
        "tags": ["bench"],
        "customer": {"external_id": f"bench-customer-{number % _CUSTOMERS}"},
        "opened_by": "customer",
        "created_at": opened,
        "timeline": [
            {
                "at": opened + timedelta(seconds=20 + number % 200),
                "kind": "message",
                "author": "agent",
                "visibility": "public",
                "body": "Thank you for calling. The parcel leaves today.",
            },
            {"at": opened + timedelta(seconds=300), "kind": "priority", "priority": "high"},
            {"at": opened + timedelta(seconds=900), "kind": "status", "status": "resolved", "by": "agent"},
        ],
    }
