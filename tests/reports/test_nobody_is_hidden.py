"""P35: whatever is done afterwards, a past window never looks better than it was. NINETY_FLOOR_SEQUENCES random
sequences of exceptions, corrections, regroupings, merges, reopenings, imports and erasures are tried, from the seed
NINETY_FLOOR_SEED on, and the figures are read after each step.

Three things do lower a figure, and each says here by how much (decisions 0102 and 0103): a merge of two waiting tickets
makes one wait of two, which is the older one's; an import adds the waits that people had; and what comes under business
hours is measured in them, so that only `mean_wall` cannot fall. Spam alone takes a wait out."""

import os
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.support.imports import item, send
from tests.support.segments import settled, settled_for_good
from tests.support.verification import WEEKDAYS, Body, assert_verified, good, instant, soon

SEQUENCES = int(os.environ.get("NINETY_FLOOR_SEQUENCES", "2"))
FIRST_SEED = int(os.environ.get("NINETY_FLOOR_SEED", "1"))
STEPS = 20
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=10)
WINDOW = {"from": DAY.isoformat(), "to": (DAY + timedelta(days=1)).isoformat()}
RESPONSES = ("first_response", "next_response")
METRICS = (*RESPONSES, "resolution")
GROUPS = (
    "segment", "team", "agent", "assignee", "priority", "channel", "type", "region", "product", "policy", "customer",
    "organization", "tag",
)  # fmt: skip
TARGETS = [{"metric": metric, "seconds": 3600} for metric in METRICS]
LENIENT: list[Body] = [{"metric": metric, "seconds": 10**7} for metric in METRICS]
OFFICE = [{**target, "hours": "business", "pause_on": ["pending"]} for target in LENIENT]
# Of a float sum of a million seconds.
TINY = 1e-3
# Between the reading of two clocks, of which one is this machine's.
MOMENT = 5.0

Step = Callable[[], Awaitable[None]]
Figures = dict[str, Body]


def added_up(figures: Figures, metrics: tuple[str, ...]) -> tuple[int, float]:
    """The waits of these metrics together: how many, and their seconds."""
    counts = {metric: figures[metric]["answered"] + figures[metric]["running"] for metric in metrics}
    return sum(counts.values()), sum(count * (figures[metric]["mean_wall"] or 0) for metric, count in counts.items())


class Past:
    """A day on which some were answered, some wait for the first answer and some for another, and all that can be done
    to it. With an `office`, some of what is promised is promised in business hours."""

    def __init__(self, client: httpx.AsyncClient, db: Database, seed: int, *, office: bool = False) -> None:
        self.client, self.db, self.random, self.office = client, db, random.Random(seed), office
        self.tickets: list[Body] = []
        self.granted: list[str] = []
        self.overrides: list[str] = []
        self.made = 0

    async def send(self, method: str, path: str, **body: Any) -> Body | None:
        """What was answered, after all that follows from it is done; None where it was refused."""
        answer = await self.client.request(method, f"/v1{path}", json=body or None)
        assert answer.status_code < 500, answer.text
        await settled(self.db)
        return answer.json() if answer.is_success and answer.content else None

    async def read(self, path: str, **params: Any) -> Body:
        return good(await self.client.get(f"/v1{path}", params=params))

    async def items(self, metric: str, **params: Any) -> list[Body]:
        found = await self.read("/reports/response-times", **{**WINDOW, "metric": metric, **params})
        items: list[Body] = found["items"]
        return items

    async def figures(self, exceptions: str = "without") -> Figures:
        return {metric: (await self.items(metric, exceptions=exceptions))[0] for metric in METRICS}

    async def bring(self, count: int, wait: timedelta | None, *, asks_again: bool = False) -> None:
        """From the beginning of the day, so that who waits waits longest of all."""
        items = []
        for _ in range(count):
            self.made += 1
            at = DAY if wait is None else DAY + timedelta(hours=2)
            whose: Body = {"external_id": f"c-{self.made % 4}", "region": "FI" if self.made % 2 else "SE"}
            timeline: list[Body] = []
            if wait is not None:
                answered = (at + wait).isoformat()
                timeline.append({"at": answered, "kind": "message", "author": "agent", "body": "Yes."})
                timeline.append({"at": answered, "kind": "status", "status": "open"})
            if asks_again:
                again = {"at": (at + timedelta(hours=1)).isoformat(), "kind": "message", "author": "customer"}
                timeline.append({**again, "body": "And now?"})
            items.append(item(f"p-{self.made}", *timeline, created_at=at.isoformat(), customer=whose))
        outcomes = (await send(self.client, *items))["items"]
        await settled(self.db)
        self.tickets += [await self.read(f"/tickets/{each['ticket_id']}") for each in outcomes]

    async def begin(self) -> None:
        body = {"key": "own", "name": "Own", "position": 50, "targets": TARGETS}
        good(await self.client.post("/v1/sla-policies", json=body))
        if self.office:
            week = {"name": "Office", "timezone": "UTC", "hours": WEEKDAYS}
            self.calendar: str = good(await self.client.post("/v1/business-calendars", json=week))["id"]
        self.agent = good(await self.client.post("/v1/agents", json={"name": "A"}))["id"]
        self.team = good(await self.client.post("/v1/teams", json={"key": "t", "name": "T"}))["id"]
        rule = {"field": "customer.region", "op": "eq", "value": "FI"}
        self.segment = good(await self.client.post("/v1/segments", json={"key": "fi", "name": "F", "rule": rule}))["id"]
        window = {"calendar_day": "UTC"}
        goal = {"metric": "first_response", "statistic": "mean", "target_seconds": 90, "window": window}
        for key, filter_ in (("all", {}), ("fi", {"region": "FI"}), ("urgent", {"priority": "urgent"})):
            good(await self.client.post("/v1/service-goals", json={"key": key, "name": key, "filter": filter_, **goal}))
        await self.bring(4, timedelta(seconds=90))
        await self.bring(4, timedelta(seconds=90), asks_again=True)
        await self.bring(5, None)

    def any(self) -> str:
        return str(self.random.choice(self.tickets)["id"])

    def anybody(self) -> str:
        return str(self.random.choice(self.tickets)["customer_id"])

    async def waiting_since(self, ticket: str) -> datetime | None:
        since = (await self.read(f"/tickets/{ticket}"))["waiting_since"]
        return instant(since) if since else None

    # What must lower nothing.

    async def grant(self) -> None:
        scope: Body = self.random.choice([
            {"ticket_id": self.any()}, {"scope": "customer", "customer_id": self.anybody()},
            {"scope": "segment", "segment_id": self.segment}, {"scope": "everything"},
        ])  # fmt: skip
        effect: Body = self.random.choice([
            {"effect": "exclude"}, {"effect": "extend", "seconds": 10**7}, {"effect": "retarget", "seconds": 10**7},
            {"effect": "freeze", "expires_at": soon(3600)},
        ])  # fmt: skip
        starts: Body = self.random.choice([{}, {"starts_at": (DAY - timedelta(days=1)).isoformat()}])
        applies: Body = self.random.choice([{}, {"applies_to": "running"}, {"applies_to": "started"}])
        made = await self.send("POST", "/sla-exceptions", reason="R", **scope, **effect, **starts, **applies)
        self.granted += [made["id"]] if made else []

    async def revoke(self) -> None:
        if self.granted:
            await self.send("DELETE", f"/sla-exceptions/{self.random.choice(self.granted)}")

    async def judge_a_segment_or_not(self) -> None:
        await self.send("PATCH", f"/segments/{self.segment}", judged=self.random.random() < 0.4)

    async def change_who_belongs(self) -> None:
        path = f"/segments/{self.segment}/overrides"
        if self.overrides and self.random.random() < 0.4:
            await self.send("DELETE", f"{path}/{self.overrides.pop()}")
            return
        effect = self.random.choice(["include", "exclude"])
        made = await self.send("POST", path, customer_id=self.anybody(), effect=effect, reason="R")
        self.overrides += [made["id"]] if made else []

    async def regroup(self) -> None:
        change: Body = self.random.choice([
            {"assignee_id": self.agent}, {"assignee_id": None}, {"team_id": self.team}, {"priority": "urgent"},
            {"priority": "low"}, {"type": "incident", "product": "p"}, {"tags": ["x"]}, {"channel": "phone"},
        ])  # fmt: skip
        await self.send("PATCH", f"/tickets/{self.any()}", **change)

    async def move(self) -> None:
        await self.send("PATCH", f"/customers/{self.anybody()}", region=self.random.choice(["FI", "SE", None]))

    async def merge_customers(self) -> None:
        await self.send("POST", f"/customers/{self.anybody()}/merge", into=self.anybody())

    async def unmerge_customers(self) -> None:
        for customer in (await self.read("/customers"))["items"]:
            if customer["merged_into"]:
                await self.send("POST", f"/customers/{customer['id']}/unmerge")
                return

    async def answer(self) -> None:
        await self.send("POST", f"/tickets/{self.any()}/messages", body="Now.")

    async def hold(self) -> None:
        await self.send("PATCH", f"/tickets/{self.any()}", status=self.random.choice(["pending", "on_hold", "open"]))

    async def reopen(self) -> None:
        """Only where nobody waits: whoever resolves without an answer counts that wait among the unanswered."""
        ticket = self.any()
        if await self.waiting_since(ticket) is None:
            await self.send("PATCH", f"/tickets/{ticket}", status=self.random.choice(["resolved", "closed"]))
        await self.send("POST", f"/tickets/{ticket}/messages", body="Again?", author={"kind": "customer"})

    async def promise(self) -> None:
        path = f"/tickets/{self.any()}/promises"
        made = await self.send("POST", path, text="We call you.", due_at=soon(3600))
        if made:
            verb, why = self.random.choice([("keep", {}), ("withdraw", {"reason": "Sorry."})])
            await self.send("POST", f"{path}/{made['id']}/{verb}", **why)

    async def change_promises(self) -> None:
        targets = self.random.choice([TARGETS, LENIENT, *([OFFICE] if self.office else [])])
        more: Body = {"calendar_id": self.calendar} if targets is OFFICE else {}
        about = [{"field": "ticket.priority", "op": "eq", "value": self.random.choice(["urgent", "normal"])}]
        again = self.random.choice(["resume", "new_cycle"])
        self.made += 1
        policy = await self.send(
            "POST", "/sla-policies", key=f"p{self.made}", name="P", position=self.random.randrange(60), targets=targets,
            on_reopen=again, conditions={"all": self.random.choice([[], about])}, **more,
        )  # fmt: skip
        assert policy
        if self.random.random() < 0.7:
            await self.send("POST", f"/sla-policies/{policy['id']}/reapply", dry_run=False)
        if self.random.random() < 0.3:
            await self.send("DELETE", f"/sla-policies/{policy['id']}")

    async def change_hours(self) -> None:
        if self.office:
            hours = self.random.choice([WEEKDAYS, {**WEEKDAYS, "mon": [["10:00", "12:00"]], "fri": None}])
            days = [str((DAY + timedelta(days=self.random.randrange(10))).date())]
            await self.send("PATCH", f"/business-calendars/{self.calendar}", hours=hours, holidays=days)

    async def bring_who_waits(self) -> None:
        await self.bring(1, None)

    async def bring_again(self) -> None:
        """What is there already is left as it is, whatever it says now. Of who was erased nobody knows that it is."""
        known = (await self.read(f"/tickets/{self.any()}"))["external_id"]
        if known:
            again = item(known, created_at=soon(-60), customer={"external_id": "c-0"})
            assert (await send(self.client, again))["duplicate"] == 1

    async def merge_and_undo(self) -> None:
        ticket = self.any()
        if await self.send("POST", f"/tickets/{ticket}/merge", into=self.any()):
            assert await self.send("POST", f"/tickets/{ticket}/unmerge")

    async def spam_and_not(self) -> None:
        ticket = self.any()
        before = added_up(await self.figures(), METRICS)
        if await self.send("POST", f"/tickets/{ticket}/spam"):
            assert added_up(await self.figures(), METRICS)[0] <= before[0]
            assert await self.send("POST", f"/tickets/{ticket}/not-spam")
            assert added_up(await self.figures(), METRICS)[0] == before[0]

    # What lowers something, and by how much.

    async def merge(self) -> None:
        source, target = self.any(), self.any()
        before = await self.figures()
        waits = [since for since in (await self.waiting_since(source), await self.waiting_since(target)) if since]
        if not await self.send("POST", f"/tickets/{source}/merge", into=target):
            return
        after = await self.figures()
        # Of two who wait there is one then, who has waited since the older start; of one, nothing is gone.
        gone = [since for since in sorted(waits)[1:] if since < DAY + timedelta(days=1)]
        count, seconds = added_up(before, RESPONSES)
        still, longer = added_up(after, RESPONSES)
        assert still == count - len(gone)
        younger = sum((datetime.now(UTC) - since).total_seconds() for since in gone)
        assert longer >= seconds - younger - MOMENT
        # The resolution of the source ends with it, and is counted so.
        unanswered = [figures["resolution"]["unanswered"] for figures in (before, after)]
        ended, now_ended = [each["merged"] + each["exception"] for each in unanswered]
        assert added_up(after, ("resolution",))[0] == added_up(before, ("resolution",))[0] - (now_ended - ended)
        assert now_ended - ended in (0, 1)

    async def unmerge(self) -> None:
        count, seconds = added_up(await self.figures(), RESPONSES)
        for each in self.tickets:
            if await self.send("POST", f"/tickets/{each['id']}/unmerge"):
                break
        again, longer = added_up(await self.figures(), RESPONSES)
        assert again >= count
        assert longer >= seconds - TINY

    async def bring_history(self) -> None:
        count, seconds = added_up(await self.figures(), ("first_response",))
        await self.bring(1, timedelta(seconds=self.random.choice([0, 5, 7200])))
        now, longer = added_up(await self.figures(), ("first_response",))
        assert now == count + 1
        assert longer >= seconds - TINY

    async def erase(self) -> None:
        """It changes no figure; who it was about has no name any more."""
        customer = self.anybody()
        # What was to be looked at again is, under the promises of now, and what follows from this is to be done yet.
        await settled_for_good(self.db)
        effect = self.random.choice(["include", "exclude"])
        override = {"customer_id": customer, "effect": effect, "reason": "R"}
        await self.send("POST", f"/segments/{self.segment}/overrides", **override)
        before = await self.told()
        if await self.send("POST", f"/customers/{customer}/erase"):
            await settled_for_good(self.db)
            after = await self.told()
            assert {key: value for key, value in after.items() if before[key] != value} == {}

    async def told(self) -> dict[str, Any]:
        """All that reports and goals say, but for the waits that grow while one looks."""
        found: dict[str, Any] = {}
        growing = ("mean_floor", "mean_wall", "group")
        for metric in METRICS:
            for group in GROUPS:
                for each in await self.items(metric, group_by=group):
                    figures = {name: value for name, value in each.items() if name not in growing}
                    found[f"{metric} of {group} {each['group'][group]}"] = figures
        days = {"from": str(DAY.date()), "to": str((DAY + timedelta(days=1)).date())}
        counts = ("answered", "running", "unanswered", "excluded", "judgement", "mean_answered")
        for goal in (await self.read("/service-goals"))["items"]:
            for each in (await self.read(f"/service-goals/{goal['id']}/history", **days))["items"]:
                found[f"{goal['key']} {each['start']}"] = {name: each[name] for name in counts}
        return found

    def steps(self) -> list[Step]:
        return [
            self.grant, self.grant, self.grant, self.revoke, self.judge_a_segment_or_not, self.change_who_belongs,
            self.regroup, self.regroup, self.move, self.merge_customers, self.unmerge_customers, self.answer, self.hold,
            self.reopen, self.reopen, self.promise, self.change_promises, self.change_hours, self.bring_who_waits,
            self.bring_again, self.merge_and_undo, self.spam_and_not, self.merge, self.merge, self.unmerge,
            self.bring_history, self.erase,
        ]  # fmt: skip

    def lowering(self) -> list[Step]:
        return [self.merge, self.unmerge, self.bring_history]


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEQUENCES))
async def test_no_sequence_of_what_is_done_later_lowers_the_floor_of_a_past_day(
    client: httpx.AsyncClient, db: Database, seed: int
) -> None:
    past = Past(client, db, seed, office=seed % 2 == 0)
    await past.begin()
    names = ("mean_wall",) if past.office else ("mean_wall", "mean_floor")
    before, trail = await past.figures(), []
    for _ in range(STEPS):
        step = past.random.choice(past.steps())
        trail.append(step.__name__)
        await step()
        after = await past.figures()
        if step not in past.lowering():
            fell = {
                (metric, name): (before[metric][name], after[metric][name])
                for metric in METRICS
                for name in names
                if (after[metric][name] or 0) < (before[metric][name] or 0) - TINY
            }
            assert fell == {}, trail
        with_them = await past.figures("with")
        for metric in METRICS:
            if after[metric]["mean_floor"] is not None:
                assert with_them[metric]["mean_floor"] >= after[metric]["mean_floor"] - TINY, trail
        before = after
    await assert_verified(db)


async def test_a_merge_makes_one_wait_of_two_and_only_spam_takes_one_out(
    client: httpx.AsyncClient, db: Database
) -> None:
    past = Past(client, db, 3)
    await past.begin()
    waiting = past.tickets[8:]
    wait = (datetime.now(UTC) - DAY).total_seconds()

    async def assert_waiting(count: int) -> None:
        [found] = await past.items("first_response")
        assert found["running"] == count
        assert found["mean_floor"] == pytest.approx((8 * 90 + count * wait) / (8 + count), abs=60)

    await assert_waiting(5)
    one, two = [each["id"] for each in waiting if each["customer_id"] == waiting[0]["customer_id"]]
    good(await client.post(f"/v1/tickets/{one}/merge", json={"into": two}))
    await assert_waiting(4)
    good(await client.post(f"/v1/tickets/{one}/unmerge", json={}))
    await assert_waiting(5)
    good(await client.post(f"/v1/tickets/{one}/spam", json={}))
    await assert_waiting(4)
    good(await client.post(f"/v1/tickets/{one}/not-spam", json={}))
    await assert_waiting(5)
    await assert_verified(db)
