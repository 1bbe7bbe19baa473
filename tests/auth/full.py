"""A world in which every field of what a customer may read has a value for somebody."""

from datetime import timedelta
from typing import Any

from tests.auth.logged import log_everything
from tests.support.segments import settled
from tests.support.sla import let_pass, sweep_once
from tests.support.world import Body, World, greeting, unique

ALL_WEEK = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


class Full:
    """`values` go into paths in place of ids; `writes` answer with what no GET does, `{fresh}`
    standing for a ticket of their own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.values: list[str] = []
        self.writes: list[tuple[str, str, str, Body | None]] = []

    @classmethod
    async def of(cls, world: World) -> "Full":
        full = cls(world)
        for key in ("plan", "risk"):
            field = {"subject": "customer", "key": key, "name": key, "type": "text"}
            await full._send("POST", "/v1/custom-fields", {**field, "visible_to_customers": key == "plan"})
        about_them = {"name": "Maija", "email": "m@example.org", "region": "FI", "language": "fi"}
        await full._send("PATCH", f"/v1/customers/{world.customer}", {
            **about_them, "organization_id": world.organization, "attributes": {"plan": "pro"},
        })  # fmt: skip
        working = {"external_id": unique(), "email": "a@example.org", "team_ids": [world.team]}
        await full._send("PATCH", f"/v1/agents/{world.agent}", working)
        await full._helped()
        await full._add_policy()
        await full._send("POST", "/v1/greetings", {**greeting(), "channel": "web", "language": "fi"})
        long = await full.opened(channel="web")
        late = await full.opened(channel="email", subject="Covered")
        asked = await full.opened()
        for verb in ("confirm", "handoff"):
            await full._send("POST", f"/v1/tickets/{asked['id']}/{verb}")
        await full._answered(long)
        await full._promised(long)
        merged = await full.opened()
        await full._send("POST", f"/v1/tickets/{merged['id']}/attachments?name=m.txt&visibility=public", {"a": 1})
        participants = f"/v1/tickets/{merged['id']}/participants"
        for guest in (world.guest, world.stranger, await world.add_customer()):
            await full._send("POST", participants, {"customer_id": guest})
        await full._send("DELETE", f"{participants}/{guest}")
        await full._send("POST", f"/v1/tickets/{merged['id']}/merge", {"into": late["id"]})
        await full._late(late)
        await full._told_by_channel(late)
        await full._viewed()
        await log_everything(world, await full.opened())
        gone = [await world.add_customer(), await world.add_customer()]
        await full._send("POST", f"/v1/customers/{gone[0]}/erase")
        await full._send("POST", f"/v1/customers/{gone[1]}/merge", {"into": world.stranger})
        foretold = await full._foretold()
        for ticket in foretold:
            await world.offer(ticket["id"])
        tickets = [long, late, merged, asked, *foretold]
        attachments = await world.sql.fetch("SELECT id FROM attachments")
        full.values += [
            *(value for ticket in tickets for value in (ticket["id"], str(ticket["number"]))),
            *(str(row["id"]) for row in attachments),
            *gone,
            world.customer,
        ]
        waiting = {"id": asked["id"], "status": "resolved"}
        closed = {"id": long["id"], "status": "resolved"}
        greeted = {"id": (await full.opened(channel="web"))["id"], "status": "closed"}
        patches = {"tickets": [waiting, closed, greeted, {"id": late["id"], "subject": "No"}]}
        path = f"/v1/tickets/{asked['id']}"
        full.writes += [
            ("create_stream_ticket", "POST", "/v1/stream-tickets", None),
            ("hand_off_ticket", "POST", f"{path}/handoff", None),
            ("confirm_ticket", "POST", "/v1/tickets/{fresh}/confirm", None),
            ("choose_at_overload", "POST", f"/v1/tickets/{foretold[0]['id']}/overload-choice", {"choice": "call_back"}),
            ("update_ticket", "PATCH", path, {"status": "resolved"}),
            ("update_tickets", "POST", "/v1/tickets/bulk", patches),
        ]
        return full

    async def _send(self, method: str, path: str, body: Any = None) -> Body:
        answer = await self.world.admin.request(method, path, json=body)
        assert answer.is_success, f"{path}: {answer.text}"
        return dict(answer.json()) if answer.content else {}

    async def _helped(self) -> None:
        """Articles to find, one of them for members and one archived; a ticket that one of them answered."""
        rule = {"field": "customer.attributes.plan", "op": "eq", "value": "pro"}
        segment = await self._send("POST", "/v1/segments", {"key": unique(), "name": "Pro", "rule": rule})
        await settled(self.world.app.state.db)
        article = {"title": "Where is my parcel?", "body": "On its way.", "language": "fi", "tags": ["post"]}
        made = [
            await self._send("POST", "/v1/articles", {**article, "key": unique(), "segment_ids": segment_ids})
            for segment_ids in ([], [segment["id"]], [])
        ]
        await self._send("DELETE", f"/v1/articles/{made[2]['id']}")
        asking = {"subject": "Where is my parcel?", "customer": {"id": self.world.customer}}
        ticket = await self._send("POST", "/v1/tickets", asking)
        self.writes += [
            ("create_ticket", "POST", "/v1/tickets?suggest=true&include=outlook", asking),
            ("suggest_articles", "POST", "/v1/articles/suggest", {"text": "Where is my parcel?"}),
            ("solve_ticket_by_article", "POST", f"/v1/tickets/{ticket['id']}/solved-by", {"article_id": made[0]["id"]}),
        ]
        self.values += [ticket["id"], *(each["id"] for each in made)]

    async def _add_policy(self) -> None:
        calendar = {"name": "Always", "timezone": "UTC", "hours": ALL_WEEK}
        calendar_id = (await self._send("POST", "/v1/business-calendars", calendar))["id"]
        targets: list[Body] = [
            {"metric": "first_response", "seconds": 60, "hours": "business"},
            {"metric": "resolution", "seconds": 10_000, "warn_at_percent": [1], "pause_on": ["pending"]},
        ]
        conditions = {"all": [{"field": "ticket.subject", "op": "eq", "value": "Covered"}], "any": []}
        policy = {"key": unique(), "name": "Covered", "conditions": conditions, "position": 1}
        await self._send("POST", "/v1/sla-policies", {**policy, "targets": targets, "calendar_id": calendar_id})

    async def _foretold(self) -> list[Body]:
        """Two who wait while it is known how long that takes: in service hours, and out of them."""
        sql = self.world.sql
        await sql.execute("INSERT INTO outlook_curves VALUES ('', -1, -1, 1, 60, '{20}', '{1}') ON CONFLICT DO NOTHING")
        await sql.execute("UPDATE outlook_revision SET revision = 1")
        today = (await sql.fetchval("SELECT now()")).date()
        found = []
        for subject, days in (("Open", [4]), ("Closed", [-1, 0, 1])):
            closed = {str(today + timedelta(days=day)): list[str]() for day in days}
            calendar = {"name": subject, "timezone": "UTC", "hours": ALL_WEEK, "date_hours": closed}
            calendar_id = (await self._send("POST", "/v1/business-calendars", calendar))["id"]
            conditions = {"all": [{"field": "ticket.subject", "op": "eq", "value": subject}]}
            target = {"metric": "first_response", "seconds": 60, "hours": "business"}
            policy = {"key": unique(), "name": subject, "conditions": conditions, "calendar_id": calendar_id}
            await self._send("POST", "/v1/sla-policies", {**policy, "position": 1, "targets": [target]})
            found.append(await self.opened(channel="chat", subject=subject))
        return found

    async def opened(self, **more: Any) -> Body:
        world = self.world
        whole: Body = {
            "subject": "Help", "description": "Help!", "external_id": unique(), "product": "card", "tags": ["vip"],
            "custom_fields": {"order": 1}, "assignee_id": world.agent, "team_id": world.team,
            "customer": {"id": world.customer}, "organization_id": world.organization,
        }  # fmt: skip
        if not more:
            whole |= {"opened_by": "agent", "asks_confirmation": True}
        return await self._send("POST", "/v1/tickets", {**whole, **more})

    async def _answered(self, ticket: Body) -> None:
        path = f"/v1/tickets/{ticket['id']}"
        said = [await self._send("POST", f"{path}/messages", {"body": word}) for word in ("One", "Two")]
        await self._send("PATCH", f"{path}/messages/{said[0]['id']}", {"body": "Other"})
        await self._send("DELETE", f"{path}/messages/{said[1]['id']}")
        upload = f"{path}/attachments?name=f.txt&visibility="
        files = [await self._send("POST", upload + word, {"a": 1}) for word in ("internal", "public")]
        await self._send("POST", f"{path}/messages", {"body": "See.", "attachment_ids": [file["id"] for file in files]})
        await self._send("DELETE", f"{path}/attachments/{files[0]['id']}")

    async def _told_by_channel(self, ticket: Body) -> None:
        """A message with ids of its channel, an imported ticket's old number, and tickets out of the queue."""
        said = {
            "external_id": unique(),
            "in_reply_to": unique(),
            "sent_at": "2026-01-01T00:00:00Z",
            "handling_seconds": 1.5,
        }
        await self._send("POST", f"/v1/tickets/{ticket['id']}/messages", {"body": "By mail.", **said})
        self.values.append(str(said["external_id"]))
        await self.world.sql.execute("UPDATE tickets SET old_number = '4711'")
        snoozed, spam = await self.opened(), await self.opened()
        later = {"until": "2036-01-01T00:00:00Z", "reason": "A part is missing."}
        await self._send("POST", f"/v1/tickets/{snoozed['id']}/snooze", later)
        await self._send("POST", f"/v1/tickets/{spam['id']}/spam")

    async def _viewed(self) -> None:
        """A view of all tickets, for all staff."""
        view = await self._send("POST", "/v1/views", {"name": "All", "filter": {}, "shared": True})
        self.values.append(view["id"])

    async def _promised(self, ticket: Body) -> None:
        path = f"/v1/tickets/{ticket['id']}/promises"
        promise = {"text": "A call.", "due_at": "2036-01-01T00:00:00Z"}
        kept, withdrawn = [(await self._send("POST", path, promise))["id"] for _ in range(2)]
        await self._send("POST", f"{path}/{kept}/keep")
        await self._send("POST", f"{path}/{withdrawn}/withdraw", {"reason": "Not needed."})
        for status in ("resolved", "closed"):
            await self._send("PATCH", f"/v1/tickets/{ticket['id']}", {"status": status})
        rated = await self.opened()
        self.values.append(rated["id"])
        said = {"score": 4, "comment": "Good.", "met": ["accuracy"], "missed": ["availability"]}
        for status in ("resolved", "open", "resolved"):
            await self._send("PATCH", f"/v1/tickets/{rated['id']}", {"status": status})
            if status == "resolved":
                await self._send("POST", f"/v1/tickets/{rated['id']}/satisfaction", said)

    async def _late(self, ticket: Body) -> None:
        """Breached and noticed, at risk, paused for a while; a clock is left out, and another one ended unanswered."""
        path = f"/v1/tickets/{ticket['id']}"
        await self._send("PATCH", path, {"status": "pending"})
        await self._send("PATCH", path, {"status": "open"})
        await let_pass(self.world.sql, 1000, ticket)
        await sweep_once(self.world.app.state.db)
        exception = {"ticket_id": ticket["id"], "effect": "exclude", "metrics": ["resolution"], "reason": "Storm."}
        await self._send("POST", "/v1/sla-exceptions", exception)
