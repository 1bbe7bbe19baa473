"""Random work by random people: customers, a bot, agents and a lead do whatever they may and may not do, in whatever
order. What is acknowledged is there, what is refused has changed nothing, every change has its events and nothing else
has, nobody sees what is not theirs, and the clocks are what the log says. NINETY_MACHINE_RUNS days in all."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import asyncpg
import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from app.db import Database
from app.tickets import search_index
from tests.conftest import client_for
from tests.support.desk import Desk
from tests.support.segments import PRO, field, member_differences, settled
from tests.support.sla import Sql
from tests.support.verification import merge_differences
from tests.support.world import World
from tests.tickets.test_machine import RUNS
from tests.verification.test_verify import differences

T = TypeVar("T")
_ROLES = ("admin", "lead", "agent", "service", "customer", "stranger")
_KINDS = ("relates_to", "duplicates", "caused_by", "parent_of", "follow_up_of")
_STATUSES = ("open", "pending", "on_hold", "resolved", "closed")
_TABLES = (
    "tickets", "messages", "message_versions", "promises", "ticket_links", "ticket_followers", "attachments",
    "attachment_contents", "customers", "organizations", "customer_merges", "api_keys", "segments", "segment_overrides",
    "sla_exceptions", "sla_policies", "sla_policy_versions", "ticket_merges",
)  # fmt: skip
# Clocks are left out: they follow from the rest, and `verify` looks at them.
_STATE = " UNION ALL ".join(
    f"SELECT '{name}', md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t" for name in _TABLES
)
# What no foreign key says.
_BROKEN = {
    "what is done was resolved, and what is not done was not": """
        SELECT 1 FROM tickets t WHERE merged_into IS NULL AND spam_at IS NULL
            AND (status IN ('resolved', 'closed')) <> (SELECT count(*) = 1 FROM ticket_resolutions r
                WHERE r.ticket_id = t.id AND r.reopened_at IS NULL)""",
    "who is to be answered by a person waits for one, and nobody else": """
        SELECT 1 FROM tickets t WHERE merged_into IS NULL AND spam_at IS NULL
            AND (needs_human AND status NOT IN ('resolved', 'closed')) <> EXISTS (SELECT FROM person_requests p
                WHERE p.ticket_id = ANY(t.id || t.merged_from) AND p.ended_at IS NULL)""",
    "spam is so everywhere": """
        SELECT 1 FROM ticket_resolutions r JOIN tickets t ON t.id = r.ticket_id WHERE r.spam <> (t.spam_at IS NOT NULL)
        UNION ALL SELECT 1 FROM person_requests r JOIN tickets t ON t.id = r.ticket_id
            WHERE r.spam <> (t.spam_at IS NOT NULL)
        UNION ALL SELECT 1 FROM handlings r JOIN tickets t ON t.id = r.ticket_id
            WHERE r.spam <> (t.spam_at IS NOT NULL)""",
    "what is handled adds up": """
        SELECT 1 FROM tickets t WHERE abs(handling_seconds
            - (SELECT coalesce(sum(seconds), 0) FROM handlings h WHERE h.ticket_id = t.id)) > 0.001""",
    "a merged ticket goes on": "SELECT 1 FROM tickets WHERE merged_into IS NOT NULL AND status <> 'closed'",
    "tickets merged in a ring": """
        WITH RECURSIVE way AS (
            SELECT id, merged_into FROM tickets WHERE merged_into IS NOT NULL
            UNION SELECT way.id, t.merged_into FROM way JOIN tickets t ON t.id = way.merged_into
        ) SELECT 1 FROM way WHERE id = merged_into""",
    "what went into a ticket, by its row and by theirs": """
        WITH RECURSIVE way AS (
            SELECT id, merged_into FROM tickets WHERE merged_into IS NOT NULL
            UNION SELECT way.id, t.merged_into FROM way JOIN tickets t ON t.id = way.merged_into
        ) SELECT 1 FROM tickets t WHERE ARRAY(SELECT id FROM unnest(merged_from) AS f (id) ORDER BY id)
            IS DISTINCT FROM ARRAY(SELECT id FROM way WHERE merged_into = t.id ORDER BY id)""",
    "a ticket merged and not undone, by its row and by the merge": """
        SELECT 1 FROM tickets t FULL JOIN (SELECT * FROM ticket_merges WHERE undone_at IS NULL) m ON m.source_id = t.id
        WHERE t.merged_into IS DISTINCT FROM m.target_id""",
    "a ticket that is done and snoozed": """
        SELECT 1 FROM tickets WHERE snoozed_until IS NOT NULL AND status IN ('resolved', 'closed')""",
    "spam that is open": "SELECT 1 FROM tickets WHERE spam_at IS NOT NULL AND status <> 'closed'",
    "somebody who waits on a ticket that is done, or twice on one": """
        SELECT 1 FROM sla_clocks c JOIN tickets t ON t.id = c.ticket_id
        WHERE c.ended_at IS NULL AND c.metric IN ('first_response', 'next_response')
        GROUP BY t.id HAVING count(*) > 1 OR bool_or(t.status IN ('resolved', 'closed'))""",
    "a ticket above itself": """
        WITH RECURSIVE above AS (
            SELECT source_id, target_id FROM ticket_links WHERE kind = 'parent_of'
            UNION SELECT above.source_id, l.target_id FROM above JOIN ticket_links l
                ON l.source_id = above.target_id AND l.kind = 'parent_of'
        ) SELECT 1 FROM above WHERE source_id = target_id""",
    "a file and its message on two tickets": """
        SELECT 1 FROM attachments a JOIN messages m ON m.id = a.message_id
        WHERE m.ticket_id <> a.ticket_id OR (m.visibility <> a.visibility)""",
    "a file without its content, or the content of a deleted one": """
        SELECT 1 FROM attachments a LEFT JOIN attachment_contents c ON c.attachment_id = a.id
        WHERE (a.deleted_at IS NULL) <> (c.attachment_id IS NOT NULL)""",
    "a promise without a clock": """
        SELECT 1 FROM promises p LEFT JOIN sla_clocks c
            ON c.ticket_id = p.ticket_id AND c.metric = 'promise' AND c.cycle = p.cycle WHERE c.id IS NULL""",
    "a merged customer who has tickets": """
        SELECT 1 FROM tickets t JOIN customers c ON c.id = t.customer_id WHERE c.merged_into IS NOT NULL""",
    "a customer who is somebody else, or nobody, in a segment": """
        SELECT 1 FROM segment_members m JOIN customers c ON c.id = m.customer_id
        WHERE m.until IS NULL AND (c.merged_into IS NOT NULL OR c.erased_at IS NOT NULL)""",
    "a change without an event": """
        SELECT 1 FROM tickets t
        WHERE version > (SELECT count(DISTINCT (xid::text, type)) FROM events e WHERE e.ticket_id = t.id)""",
}


class Office(RuleBasedStateMachine):
    tickets: Bundle[str] = Bundle("tickets")
    said: Bundle[tuple[str, str]] = Bundle("said")
    files: Bundle[tuple[str, str]] = Bundle("files")

    def __init__(
        self, desk: Desk, stranger: httpx.AsyncClient, db: Database, sql: Sql, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self.desk, self.stranger, self.db, self.sql, self.loop = desk, stranger, db, sql, loop
        self.acknowledged: dict[str, str] = {}

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def send(self, who: str, method: str, path: str, **request: Any) -> dict[str, Any] | None:
        """What was answered; None where it was refused."""
        return self.wait(self._send(who, method, f"/v1{path}", request))

    async def _send(self, who: str, method: str, path: str, request: dict[str, Any]) -> dict[str, Any] | None:
        http: httpx.AsyncClient = self.stranger if who == "stranger" else getattr(self.desk, who)
        before, told = await self._state()
        answer = await http.request(method, path, **request)
        after, now_told = await self._state()
        assert answer.status_code < 500, answer.text
        assert answer.is_success or after == before, f"{method} {path} was refused and changed something"
        assert (after != before) == (now_told != told), f"{method} {path}: {answer.text}"
        body: dict[str, Any] = answer.json() if answer.content else {}
        return body if answer.is_success else None

    async def _state(self) -> tuple[list[Any], int]:
        rows = [tuple(row) for row in await self.sql.fetch(_STATE)]
        return sorted(rows), await self.sql.fetchval("SELECT count(*) FROM events")

    @rule(target=tickets, who=st.sampled_from(_ROLES), towards=st.booleans())
    def open(self, who: str, towards: bool) -> Any:
        body: dict[str, Any] = {"subject": "Help", "description": "Please."}
        if who not in ("customer", "stranger"):
            body |= {"customer": self.desk.them}
            body |= {"opened_by": "agent", "asks_confirmation": True} if towards else {}
        opened = self.send(who, "POST", "/tickets", json=body)
        assert opened
        return opened["id"]

    @rule(
        target=said,
        who=st.sampled_from(_ROLES),
        ticket=tickets,
        public=st.booleans(),
        status=st.sampled_from([None, None, None, *_STATUSES]),
    )
    def say(self, who: str, ticket: str, public: bool, status: str | None) -> Any:
        body = {"body": secrets.token_hex(8), "visibility": "public" if public else "internal"}
        message = self.send(
            who, "POST", f"/tickets/{ticket}/messages", json=body | ({"status": status} if status else {})
        )
        if message is None:
            return multiple()
        self.acknowledged[message["id"]] = body["body"]
        return message["ticket_id"], message["id"]

    @rule(who=st.sampled_from(_ROLES), message=said)
    def edit(self, who: str, message: tuple[str, str]) -> None:
        body = secrets.token_hex(8)
        if self.send(who, "PATCH", f"/tickets/{message[0]}/messages/{message[1]}", json={"body": body}) is not None:
            self.acknowledged[message[1]] = body

    @rule(who=st.sampled_from(_ROLES), message=said)
    def delete(self, who: str, message: tuple[str, str]) -> None:
        if self.send(who, "DELETE", f"/tickets/{message[0]}/messages/{message[1]}") is not None:
            self.acknowledged[message[1]] = ""

    @rule(who=st.sampled_from(_ROLES), ticket=tickets, status=st.sampled_from(_STATUSES))
    def set_status(self, who: str, ticket: str, status: str) -> None:
        self.send(who, "PATCH", f"/tickets/{ticket}", json={"status": status})

    @rule(
        who=st.sampled_from(_ROLES),
        some=st.lists(tickets, min_size=1, max_size=4),
        tags=st.sampled_from([[], ["vip"]]),
        status=st.sampled_from(["open", "new"]),
    )
    def change_many(self, who: str, some: list[str], tags: list[str], status: str) -> None:
        patches = [{"id": id_, "tags": tags, "status": status} for id_ in some]
        self.send(who, "POST", "/tickets/bulk", json={"tickets": patches})

    @rule(who=st.sampled_from(_ROLES), ticket=tickets, verb=st.sampled_from(["handoff", "confirm"]))
    def ask(self, who: str, ticket: str, verb: str) -> None:
        self.send(who, "POST", f"/tickets/{ticket}/{verb}")

    @rule(who=st.sampled_from(_ROLES), source=tickets, into=tickets)
    def merge(self, who: str, source: str, into: str) -> None:
        self.send(who, "POST", f"/tickets/{source}/merge", json={"into": into})

    @rule(who=st.sampled_from(_ROLES), ticket=tickets, until=st.sampled_from([None, "2036-01-01T00:00:00Z"]))
    def snooze(self, who: str, ticket: str, until: str | None) -> None:
        self.send(who, "POST", f"/tickets/{ticket}/snooze", json={"until": until})

    @rule(who=st.sampled_from(_ROLES), ticket=tickets, verb=st.sampled_from(["unmerge", "spam", "not-spam"]))
    def undo_or_mark(self, who: str, ticket: str, verb: str) -> None:
        self.send(who, "POST", f"/tickets/{ticket}/{verb}")

    @rule(who=st.sampled_from(_ROLES), one=tickets, other=tickets, kind=st.sampled_from(_KINDS))
    def link(self, who: str, one: str, other: str, kind: str) -> None:
        self.send(who, "POST", f"/tickets/{one}/links", json={"kind": kind, "ticket_id": other})

    @rule(who=st.sampled_from(_ROLES), ticket=tickets, follows=st.booleans())
    def follow(self, who: str, ticket: str, follows: bool) -> None:
        self.send(who, "PUT" if follows else "DELETE", f"/tickets/{ticket}/followers/{self.desk.agent_id}")

    @rule(target=files, who=st.sampled_from(_ROLES), ticket=tickets, public=st.booleans())
    def attach(self, who: str, ticket: str, public: bool) -> Any:
        query = {"name": "a.txt", "visibility": "public" if public else "internal"}
        file = self.send(who, "POST", f"/tickets/{ticket}/attachments", params=query, content=b"hello")
        return (ticket, file["id"]) if file else multiple()

    @rule(target=said, who=st.sampled_from(_ROLES), file=files, public=st.booleans())
    def say_with_file(self, who: str, file: tuple[str, str], public: bool) -> Any:
        body = {"body": secrets.token_hex(8), "visibility": "public" if public else "internal"}
        message = self.send(who, "POST", f"/tickets/{file[0]}/messages", json={**body, "attachment_ids": [file[1]]})
        if message is None:
            return multiple()
        self.acknowledged[message["id"]] = body["body"]
        return message["ticket_id"], message["id"]

    @rule(who=st.sampled_from(_ROLES), file=consumes(files))
    def detach(self, who: str, file: tuple[str, str]) -> None:
        self.send(who, "DELETE", f"/tickets/{file[0]}/attachments/{file[1]}")

    @rule(who=st.sampled_from(_ROLES), goes=st.booleans())
    def merge_customers(self, who: str, goes: bool) -> None:
        """Somebody new, with a ticket of theirs, turns out to be the customer; or is not, after all."""
        made = self.send("admin", "POST", "/customers", json={"external_id": secrets.token_hex(6)})
        assert made
        self.send("admin", "POST", "/tickets", json={"subject": "Help", "customer": {"id": made["id"]}})
        self.send(who, "POST", f"/customers/{made['id']}/merge", json={"into": self.desk.customer_id})
        if goes:
            self.send(who, "POST", f"/customers/{made['id']}/unmerge")

    @rule(who=st.sampled_from(_ROLES))
    def erase_somebody(self, who: str) -> None:
        made = self.send("admin", "POST", "/tickets", json={"subject": "Help", "customer": {"name": "Canary"}})
        assert made
        self.send(who, "POST", f"/customers/{made['customer_id']}/erase")

    @initialize()
    def group_customers(self) -> None:
        """Segments, one with a figure and one that is not judged, and promises by them."""
        self.segments: list[str] = []
        complains = field("customer.open_tickets", "gte", 3)
        for rule_, judged in (
            (PRO, True),
            (complains, True),
            (field("customer.region", "eq", "FI"), False),
            (None, True),
        ):
            key = secrets.token_hex(6)
            segment = self.send("admin", "POST", "/segments", json={
                "key": key, "name": key, "rule": rule_, "judged": judged, "position": len(self.segments),
            })  # fmt: skip
            assert segment
            self.segments.append(segment["id"])
            target = {"metric": "first_response", "seconds": 60 + len(self.segments)}
            conditions = {"all": [field("segment", "eq", key)]}
            policy = {"key": key, "name": key, "position": 1, "targets": [target], "conditions": conditions}
            assert self.send("admin", "POST", "/sla-policies", json=policy)

    @rule(who=st.sampled_from(_ROLES), plan=st.sampled_from(["pro", None]), region=st.sampled_from(["FI", "SE"]))
    def change_customer(self, who: str, plan: str | None, region: str) -> None:
        body = {"attributes": {"plan": plan}, "region": region}
        self.send(who, "PATCH", f"/customers/{self.desk.customer_id}", json=body)

    @rule(who=st.sampled_from(_ROLES), which=st.integers(0, 3), rule_=st.sampled_from([PRO, {"not": PRO}, None]))
    def change_rule(self, who: str, which: int, rule_: Any) -> None:
        self.send(who, "PATCH", f"/segments/{self.segments[which]}", json={"rule": rule_})

    @rule(who=st.sampled_from(_ROLES), which=st.integers(0, 3), effect=st.sampled_from(["include", "exclude"]))
    def override(self, who: str, which: int, effect: str) -> None:
        path, them = f"/segments/{self.segments[which]}/overrides", self.desk.customer_id
        made = self.send(who, "POST", path, json={"customer_id": them, "effect": effect, "reason": "So."})
        if made is None:
            listed = self.send("admin", "GET", path, params={"customer_id": them})
            for item in listed["items"] if listed else ():
                self.send(who, "DELETE", f"{path}/{item['id']}")

    @rule(
        who=st.sampled_from(_ROLES),
        which=st.integers(0, 3),
        wide=st.sampled_from(["customer", "segment", "everything"]),
        given=st.sampled_from([{"effect": "extend", "seconds": 5}, {"effect": "exclude"}]),
        applies_to=st.sampled_from(["started", "running"]),
    )
    def except_many(self, who: str, which: int, wide: str, given: dict[str, Any], applies_to: str) -> None:
        of = {"customer": {"customer_id": self.desk.customer_id}, "segment": {"segment_id": self.segments[which]}}
        body = {"scope": wide, "applies_to": applies_to, "reason": "Storm.", **given, **of.get(wide, {})}
        made = self.send(who, "POST", "/sla-exceptions", json=body)
        if made and wide == "everything":
            self.send(who, "DELETE", f"/sla-exceptions/{made['id']}")

    @rule()
    def work_off(self) -> None:
        self.wait(settled(self.db))

    @rule()
    def read_as_customer(self) -> None:
        """Their list holds their tickets, and their tickets hold nothing internal."""
        for who in ("customer", "stranger"):
            listed = self.send(who, "GET", "/tickets?limit=200")
            assert listed
            assert len({item["customer_id"] for item in listed["items"]}) <= 1
            for item in listed["items"]:
                found = self.send(who, "GET", f"/tickets/{item['id']}/messages?limit=200")
                assert found
                assert {message["visibility"] for message in found["items"]} <= {"public"}

    @rule()
    def index(self) -> None:
        while self.wait(search_index.run_once(self.db)):
            pass

    @invariant()
    def nothing_is_broken(self) -> None:
        for what, query in _BROKEN.items():
            assert self.wait(self.sql.fetch(query)) == [], what

    def teardown(self) -> None:
        rows = self.wait(self.sql.fetch("SELECT id::text, body FROM messages"))
        found = {row["id"]: row["body"] for row in rows}
        assert {id_: found.get(id_) for id_ in self.acknowledged} == self.acknowledged
        assert self.wait(differences(self.db)) == []
        self.wait(settled(self.db))
        assert self.wait(differences(self.db)) == []
        assert self.wait(member_differences(self.db)) == []
        assert self.wait(merge_differences(self.db)) == []


async def test_random_work_by_random_people_loses_and_leaks_nothing(world: World, desk: Desk) -> None:
    loop = asyncio.get_running_loop()
    key = await world.add_key(role="customer", customer_id=world.stranger)
    db: Database = world.app.state.db
    sql = await asyncpg.connect(world.app.state.settings.database_url)

    async with client_for(world.app, key) as stranger:

        def office() -> Office:
            return Office(desk, stranger, db, sql, loop)

        checked = settings(
            max_examples=RUNS, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        )
        await asyncio.to_thread(run_state_machine_as_test, cast("type[Office]", office), settings=checked)
    await sql.close()
