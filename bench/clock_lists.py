"""How long each form of the list of clocks takes at 1,000,000 tickets, asked two at a time."""

from urllib.parse import urlencode

from bench import seeding
from bench.rounds import Spread
from bench.searching import p95_ms
from bench.services import Service, sql

_SEED_SECONDS = 1_800
_ORDERS = ("due_at", "-due_at", "started_at")
_FILTERS: dict[str, dict[str, str]] = {
    "all": {},
    "open": {"open": "true"},
    "ended": {"open": "false"},
    "late now": {"open": "true", "state": "breached"},
    "breached": {"state": "breached"},
    "met": {"state": "met"},
    "met or cancelled": {"state": "met,cancelled"},
    "paused": {"state": "paused"},
    "of a metric": {"metric": "resolution"},
    "late now, of a metric": {"metric": "resolution", "open": "true", "state": "breached"},
    "of one who has many": {"assignee_id": "{many}"},
    "late now, of one who has many": {"assignee_id": "{many}", "open": "true", "state": "breached"},
    "of one who has few": {"assignee_id": "{few}"},
    "late now, of one who has few": {"assignee_id": "{few}", "open": "true", "state": "breached"},
    "of nobody": {"assignee_id": "none"},
    "of a team that has many": {"team_id": "{team}"},
    "late now, of a team that has many": {"team_id": "{team}", "open": "true", "state": "breached"},
    "of a segment that has many": {"segment": "bench"},
    "late now, of a segment that has many": {"segment": "bench", "open": "true", "state": "breached"},
    "of a customer": {"customer_id": "{customer}"},
    "due in a window": {"due_after": "{from}", "due_before": "{to}"},
    "broke in a window": {"breached_after": "{from}", "breached_before": "{to}"},
    "broke in a window, of one who has few": {
        "breached_after": "{from}", "breached_before": "{to}", "assignee_id": "{few}",
    },
}  # fmt: skip


async def p95_by_form(service: Service, rounds: int, requests: int) -> dict[str, Spread]:
    """p95 in milliseconds of each filter in each order."""
    values = await _seed(service)
    found: dict[str, Spread] = {}
    for name, asked in _FILTERS.items():
        for order in _ORDERS:
            query = urlencode({key: value.format(**values) for key, value in {**asked, "sort": order}.items()})
            path = f"/v1/sla-clocks?{query}"
            # Of one who has few, none may run.
            took = [
                await p95_ms(service, lambda _, path=path: path, requests, may_be_empty=True)  # type: ignore[misc]
                for _ in range(rounds)
            ]
            found[f"{name}, by {order}"] = Spread.of(took)
    return found


async def _seed(service: Service) -> dict[str, str]:
    """Clocks in every state, and tickets of a team and agents who have very many, and of one who has very few."""
    async with service.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(sql("seed_clock_states"), timeout=_SEED_SECONDS)
        row = await connection.fetchrow("""
            SELECT (SELECT id FROM agents WHERE external_id = 'bench many') AS many,
                (SELECT id FROM agents WHERE external_id = 'bench few') AS few,
                (SELECT id FROM teams WHERE key = 'bench') AS team,
                (SELECT customer_id FROM tickets ORDER BY id LIMIT 1) AS customer,
                to_char(now() - interval '60 days', 'YYYY-MM-DD"T"00:00:00"Z"') AS from,
                to_char(now() - interval '59 days', 'YYYY-MM-DD"T"00:00:00"Z"') AS to
        """)
    await seeding.settle(service)
    assert row is not None
    return {name: str(value) for name, value in row.items()}
