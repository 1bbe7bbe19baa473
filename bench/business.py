"""What business hours cost: the same requests, on the same service, for tickets under a policy of every hour and under
one of business hours, in turns."""

import json
from dataclasses import replace
from pathlib import Path

import httpx

from bench.plan import Plan
from bench.rounds import Compared, alternate
from bench.services import Service
from bench.wrk import Load, LoadError, Wrk

EVERY_HOUR, BUSINESS = "24/7", "business hours"
_CHANNELS = {EVERY_HOUR: "chat", BUSINESS: "phone"}
_WEEK = {day: [["08:00", "12:00"], ["12:30", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


async def compare_hours(service: Service, plan: Plan) -> dict[str, Compared]:
    """Opening tickets, then answering those that were opened."""
    await _write_policies(service)
    wrk = Wrk(plan.connections, plan.threads)
    tickets = f"{service.prefix}/tickets"
    base = Load(service.base_url, tickets, "POST", authorization=service.authorization)
    names = list(_CHANNELS)

    def opening(name: str) -> Load:
        body = {
            "subject": "Where is my parcel?",
            "description": "It was promised for Tuesday and has not arrived yet. What shall I do?",
            "channel": _CHANNELS[name],
            "customer": {"id": str(service.customer_id)},
        }
        return replace(base, body=json.dumps(body))

    for name in names:
        await wrk.run(opening(name), 1)
    created = await alternate("create", names, plan.rounds, lambda name: wrk.run(opening(name), plan.seconds), _quiet)

    # Of those that were opened, each is answered once: half of the rounds have enough for sure.
    rounds = max(3, plan.rounds // 2)
    files = {name: await _waiting(service, name, rounds, plan.output) for name in names}
    turns = dict.fromkeys(names, 0)

    def answering(name: str) -> Load:
        file = files[name][turns[name]]
        turns[name] += 1
        body = json.dumps({"body": "It is on its way and will be with you tomorrow.", "visibility": "public"})
        return replace(base, path=f"{tickets}/{{id}}/messages", body=body, ids=file, once=True)

    replied = await alternate("reply", names, rounds, lambda name: wrk.run(answering(name), plan.seconds), _quiet)
    return {"create": created, "reply": replied}


async def _write_policies(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.base_url, headers=service.headers) as client:
        calendar = await client.post(
            "/v1/business-calendars",
            json={"name": "Office", "timezone": "Europe/Helsinki", "hours": _WEEK, "holiday_region": "FI"},
        )
        calendar.raise_for_status()
        for name, hours in ((EVERY_HOUR, "calendar"), (BUSINESS, "business")):
            targets = [
                {"metric": metric, "seconds": seconds, "hours": hours, "warn_at_percent": [80]}
                for metric, seconds in (("first_response", 3_600_000), ("resolution", 7_200_000))
            ]
            condition = {"field": "ticket.channel", "op": "eq", "value": _CHANNELS[name]}
            policy = {"key": f"bench {name}", "name": name, "position": 1, "targets": targets}
            policy |= {"conditions": {"all": [condition]}, "calendar_id": calendar.json()["id"]}
            (await client.post("/v1/sla-policies", json=policy)).raise_for_status()


async def _waiting(service: Service, name: str, rounds: int, output: Path) -> list[Path]:
    async with service.connection() as connection:
        rows = await connection.fetch(
            "SELECT id FROM tickets WHERE channel = $1 AND status = 'new' ORDER BY id", _CHANNELS[name]
        )
    size = len(rows) // rounds
    if not size:
        raise LoadError(f"no tickets wait under {name}")
    files = [output / f"business-{_CHANNELS[name]}-{n}.ids" for n in range(rounds)]
    for n, file in enumerate(files):
        file.write_text("".join(f"{row['id']}\n" for row in rows[n * size : (n + 1) * size]))
    return files


def _quiet(_: str) -> None:
    """Twice as many lines would say little."""
