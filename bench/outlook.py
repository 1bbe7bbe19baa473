"""How true outlooks are, on real calls in the order they came, and what one costs beside a new ticket."""

import json
from dataclasses import dataclass, replace

from app.sla.core.outlook import SAID, Told, came, pinball
from bench import call_centre
from bench.plan import Plan
from bench.rounds import Compared, Spread, alternate
from bench.services import Service
from bench.wrk import Load, LoadError, Wrk

WITHOUT, WITH = "without", "with its outlook"
_QUERY = {WITHOUT: "", WITH: "?include=outlook"}
# A curve for every key, each as long as any is.
_CURVES = """
    INSERT INTO outlook_curves (priority, ahead, idle, revision, waits, seconds, shares)
    SELECT priority, ahead, idle, 1, 1500, ARRAY(SELECT n::float FROM generate_series(1, 1500) n),
        ARRAY(SELECT n / 1500.0 FROM generate_series(1, 1500) n)
    FROM unnest(ARRAY['', 'normal']) priority, generate_series(-1, 9) ahead, generate_series(-1, 3) idle
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of all calls after the warm-up: `kept` is the share of those answered whose p95, taken as a promise, was kept."""

    foretold: int
    loss_seconds: float
    came: tuple[float, ...]
    kept: float
    reproduced: int | None


def scores() -> Scores:
    """Raises LoadError where the calls are not there."""
    if not call_centre.CALLS.is_file():
        raise LoadError(f"no {call_centre.CALLS.name} in {call_centre.CALLS.parent}: say in TICKET_DATA where it is")
    foretold = [each for each in call_centre.foretold(call_centre.calls()) if each.outlook]
    told = [Told(each.outlook.by, each.call.wait) for each in foretold if each.outlook]
    answered = [each for each in told if each.wait.answered]
    kept = sum(each.wait.seconds <= each.by[-1] for each in answered) / len(answered)
    return Scores(len(told), pinball(told), came(told), kept, _reproduced(foretold))


def _reproduced(foretold: list[call_centre.Foretold]) -> int | None:
    """How many of the reference's predictions come out; None where it is not there."""
    if not call_centre.REFERENCE.is_file():
        return None
    by_id = {each.call.id: each.curve for each in foretold}
    rows = json.loads(call_centre.REFERENCE.read_text())["rows"]
    return len(
        [
            row
            for row in rows
            if (curve := by_id[row["case_id"]])
            and [curve.by(share) for share in SAID] == [row["by50"], row["by80"], row["by95"]]
            and round(curve.within(90), 6) == row["within90"]
        ]
    )


async def compare_opening(service: Service, plan: Plan) -> Compared:
    """Opening tickets with and without, in turns, where as much is known as ever is."""
    async with service.connection() as connection:
        await connection.execute(_CURVES)
        await connection.execute("UPDATE outlook_revision SET revision = 1")
    wrk = Wrk(plan.connections, plan.threads)
    body = {
        "subject": "Where is my parcel?",
        "description": "It was promised for Tuesday and has not arrived yet. What shall I do?",
        "customer": {"id": str(service.customer_id)},
    }
    base = Load(
        service.base_url, f"{service.prefix}/tickets", "POST", body=json.dumps(body),
        authorization=service.authorization,
    )  # fmt: skip
    loads = {name: replace(base, path=base.path + query) for name, query in _QUERY.items()}
    for load in loads.values():
        await wrk.run(load, 1)
    return await alternate("create", list(loads), plan.rounds, lambda name: wrk.run(loads[name], plan.seconds), print)


def points_off(share: float, said: float) -> Spread:
    off = 100 * abs(share - said)
    return Spread(off, off, off)
