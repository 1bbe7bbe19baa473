"""Random days at the desk, against the log: whatever is done to tickets, policies, calendars and exceptions, in
whatever order, with time really passing, the stored clocks are what the log says. NINETY_MACHINE_RUNS days in all."""

import asyncio
import os
import secrets
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from app.db import Database
from app.sla_exceptions import service as exceptions
from app.tickets import rematch_jobs
from tests.support.sla import Sql, sweep_dry
from tests.support.verification import merge_differences
from tests.verification.test_verify import differences

T = TypeVar("T")
RUNS = int(os.environ.get("NINETY_MACHINE_RUNS", "10"))

_METRICS = ["first_response", "next_response", "periodic_update", "resolution", "promise"]
_STATUSES = ["open", "pending", "on_hold", "resolved", "closed"]
_KINDS = ["customer", "customer", "agent", "agent", "bot", "system"]
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHOLE = [["00:00", "24:00"]]
_weeks = st.sampled_from([
    dict.fromkeys(_DAYS, _WHOLE),
    {"mon": [["08:00", "12:00"], ["12:30", "17:00"]], "sun": [["00:00", "24:00"]]},
    {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
])  # fmt: skip
_zones = st.sampled_from(["Europe/Helsinki", "America/New_York", "Australia/Lord_Howe", "UTC"])
_targets = st.lists(
    st.fixed_dictionaries({
        "metric": st.sampled_from(_METRICS),
        "priority": st.sampled_from([None, None, "urgent"]),
        "seconds": st.sampled_from([1, 1, 2, 60, 86_400]),
        "hours": st.sampled_from(["calendar", "business"]),
        "pause_on": st.sampled_from([None, None, [], ["open"], ["pending", "on_hold"]]),
        "warn_at_percent": st.sampled_from([[], [10], [50, 80]]),
    }),
    min_size=1, max_size=6, unique_by=lambda target: (target["metric"], target["priority"]),
)  # fmt: skip


class Desk(RuleBasedStateMachine):
    tickets: Bundle[str] = Bundle("tickets")
    promises: Bundle[tuple[str, str]] = Bundle("promises")
    granted: Bundle[str] = Bundle("granted")

    def __init__(self, client: httpx.AsyncClient, db: Database, sql: Sql, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.client, self.db, self.sql, self.loop = client, db, sql, loop

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """What was answered; None where it was refused, which must have a reason and no effect."""
        answer = self.wait(self.client.request(method, f"/v1{path}", json=body))
        assert answer.status_code in (200, 201, 202, 204, 409, 422), answer.text
        return answer.json() if answer.is_success and answer.content else None

    def rewrite(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Change what is promised, and let it reach every ticket: what has fired or ended stays as it was (P9)."""
        self.wait(sweep_dry(self.db))
        before = self.wait(self._history())
        self.send(method, path, body)
        self.wait(self._worker())
        after = self.wait(self._history())
        assert {key: after.get(key) for key in before} == before

    async def _history(self) -> dict[str, str]:
        """Breaches that were told, and clocks that have ended, each as text."""
        rows = await self.sql.fetch(
            "SELECT 'event ' || id AS key, e::text AS row FROM events e WHERE type = 'sla.breached'"
            " UNION ALL SELECT 'clock ' || id, c::text FROM sla_clocks c WHERE ended_at IS NOT NULL"
        )
        return {row["key"]: row["row"] for row in rows}

    @initialize(hours=_weeks, zone=_zones, promised=_targets)
    def promise_something(self, hours: dict[str, Any], zone: str, promised: list[dict[str, Any]]) -> None:
        word = secrets.token_hex(4)
        calendar = self.send("POST", "/business-calendars", {"name": word, "timezone": zone, "hours": hours})
        assert calendar
        self.calendar_id = calendar["id"]
        body = {"key": word, "name": word, "position": 1, "calendar_id": self.calendar_id, "targets": promised}
        policy = self.send("POST", "/sla-policies", {**body, "conditions": {"all": [], "any": [
            {"field": "ticket.tags", "op": "contains", "value": "vip"},
            {"field": "ticket.priority", "op": "eq", "value": "urgent"},
        ]}})  # fmt: skip
        assert policy
        self.policy_id = policy["id"]

    @rule(target=tickets, priority=st.sampled_from(["normal", "urgent"]), tags=st.sampled_from([[], ["vip"]]))
    def open(self, priority: str, tags: list[str]) -> str:
        body = {"subject": "Help", "description": "Please.", "priority": priority, "tags": tags,
                "customer": {"external_id": "c"}}  # fmt: skip
        ticket = self.send("POST", "/tickets", body)
        assert ticket
        return str(ticket["id"])

    @rule(
        ticket=tickets, kind=st.sampled_from(_KINDS), public=st.booleans(), status=st.sampled_from([None, *_STATUSES])
    )
    def say(self, ticket: str, kind: str, public: bool, status: str | None) -> None:
        body = {"body": "Hello.", "author": {"kind": kind}, "visibility": "public" if public else "internal"}
        self.send("POST", f"/tickets/{ticket}/messages", body | ({"status": status} if status else {}))

    @rule(ticket=tickets, status=st.sampled_from(_STATUSES))
    def set_status(self, ticket: str, status: str) -> None:
        self.send("PATCH", f"/tickets/{ticket}", {"status": status})

    @rule(ticket=tickets, priority=st.sampled_from(["normal", "urgent"]), tags=st.sampled_from([[], ["vip"]]))
    def set_attributes(self, ticket: str, priority: str, tags: list[str]) -> None:
        self.send("PATCH", f"/tickets/{ticket}", {"priority": priority, "tags": tags})

    @rule(source=tickets, into=tickets)
    def merge(self, source: str, into: str) -> None:
        self.send("POST", f"/tickets/{source}/merge", {"into": into})

    @rule(ticket=tickets, verb=st.sampled_from(["unmerge", "spam", "not-spam"]))
    def undo_or_mark(self, ticket: str, verb: str) -> None:
        self.send("POST", f"/tickets/{ticket}/{verb}")

    @rule(target=promises, ticket=tickets, seconds=st.sampled_from([0.2, 1, 3600, None]))
    def promise(self, ticket: str, seconds: float | None) -> Any:
        due = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat() if seconds else None
        made = self.send("POST", f"/tickets/{ticket}/promises", {"text": "I call you.", "due_at": due})
        return (ticket, made["id"]) if made else multiple()

    @rule(promise=consumes(promises), kept=st.booleans())
    def end_promise(self, promise: tuple[str, str], kept: bool) -> None:
        ticket, id_ = promise
        verb, body = ("keep", None) if kept else ("withdraw", {"reason": "Sorry."})
        self.send("POST", f"/tickets/{ticket}/promises/{id_}/{verb}", body)

    @rule(
        target=granted,
        ticket=tickets,
        effect=st.sampled_from(["exclude", "extend", "retarget", "freeze"]),
        metrics=st.lists(st.sampled_from(_METRICS), max_size=2, unique=True),
        starts_in=st.sampled_from([None, 0.1, 0.4]),
        lasts=st.sampled_from([None, 0.5, 3600]),
    )
    def grant(self, ticket: str, effect: str, metrics: list[str], starts_in: float | None, lasts: float | None) -> Any:
        now = datetime.now(UTC)
        body: dict[str, Any] = {"ticket_id": ticket, "effect": effect, "metrics": metrics, "reason": "A strike."}
        if effect in ("extend", "retarget"):
            body["seconds"] = 2
        if starts_in:
            body["starts_at"] = (now + timedelta(seconds=starts_in)).isoformat()
        if lasts:
            body["expires_at"] = (now + timedelta(seconds=(starts_in or 0) + lasts)).isoformat()
        made = self.send("POST", "/sla-exceptions", body)
        return made["id"] if made else multiple()

    @rule(exception=consumes(granted))
    def revoke(self, exception: str) -> None:
        self.send("DELETE", f"/sla-exceptions/{exception}")

    @rule(
        promised=_targets,
        on_reopen=st.sampled_from(["resume", "new_cycle"]),
        reopens=st.booleans(),
        bot_counts=st.booleans(),
    )
    def write_policy(self, promised: list[dict[str, Any]], on_reopen: str, reopens: bool, bot_counts: bool) -> None:
        self.rewrite("PATCH", f"/sla-policies/{self.policy_id}", {
            "targets": promised, "on_reopen": on_reopen, "reopen_on_customer_message": reopens,
            "bot_counts": bot_counts,
        })  # fmt: skip

    @rule(hours=_weeks, zone=_zones, closed=st.booleans())
    def write_calendar(self, hours: dict[str, Any], zone: str, closed: bool) -> None:
        whole = {day: hours.get(day) for day in _DAYS}
        body = {"hours": whole, "timezone": zone, "holidays": [str(datetime.now(UTC).date())] if closed else []}
        self.rewrite("PATCH", f"/business-calendars/{self.calendar_id}", body)

    @rule(dry_run=st.booleans())
    def reapply(self, dry_run: bool) -> None:
        self.rewrite("POST", f"/sla-policies/{self.policy_id}/reapply", {"dry_run": dry_run})

    @rule()
    def worker_turns(self) -> None:
        self.wait(self._worker())

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.05]))
    def time_passes(self, seconds: float) -> None:
        self.wait(asyncio.sleep(seconds))

    def teardown(self) -> None:
        self.wait(self._worker())
        assert self.wait(differences(self.db)) == []
        assert self.wait(merge_differences(self.db)) == []

    async def _worker(self) -> None:
        await sweep_dry(self.db)
        await exceptions.run_once(self.db)
        while await rematch_jobs.run_once(self.db):
            pass


async def test_after_random_days_at_the_desk_the_clocks_are_what_the_log_says(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    loop = asyncio.get_running_loop()

    def desk() -> Desk:
        return Desk(client, db, sql, loop)

    checked = settings(
        max_examples=RUNS, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    await asyncio.to_thread(run_state_machine_as_test, cast("type[Desk]", desk), settings=checked)
