"""What the demonstration is about: who works there, who writes, and what was said in the week before. Pure; the same
seed tells the same story."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

SEED = 90
TICKETS = 3_000
DAYS = 7
LAST_HOUR = 46
MEAN_SECONDS = 80.0

TEAMS = [("billing", "Billing"), ("technical", "Technical help")]
AGENTS = [
    ("aino", "Aino Laine", "billing"), ("ben", "Ben Okafor", "billing"), ("chen", "Chen Wei", "billing"),
    ("dana", "Dana Novak", "technical"), ("eero", "Eero Salo", "technical"), ("farah", "Farah Aziz", "technical"),
]  # fmt: skip
LEAD = "dana"
AGENT = "aino"
# Somebody tries what every form gets sooner or later; the console shows it as what it is.
CANARY = '<img src=x onerror="window.__xss=1">'

PEOPLE = [
    "Nia Cole", "Finn Khan", "Otto Weiss", "Kai Laine", "Hana Ito", "Mo Haddad", "Ida Moen", "Lea Martin", "Sam Reyes",
    "Eva Horvat", "Jon Berg", "Mia Rossi", "Ola Nowak", "Zoe Adams", "Ali Demir", "Rui Costa", "Uma Patel",
    "Ann Virtanen",
    "Leo Dubois", "Noa Levi", "Pia Lund", "Tom Becker", "Ines Silva", "Max Keller", "Siri Dahl", "Amir Rahimi",
]  # fmt: skip
REGIONS = ["FI", "SE", "DE", "NO", "EE"]


@dataclass(frozen=True, slots=True)
class Topic:
    team: str
    type: str
    subject: str
    asks: str
    answer: str
    product: str | None = None


TOPICS = [
    Topic("billing", "question", "Charged twice for order 4711", "My card was charged twice for one order.",
          "You are right, and I am sorry. The second charge is on its way back; it takes two days at most."),
    Topic("billing", "question", "Invoice is missing", "I cannot find the invoice for October.",
          "Here it is. You find all of them under Account, Invoices."),
    Topic("billing", "return", "Refund has not come", "I sent the jacket back two weeks ago.",
          "It arrived on Monday. The refund was sent this morning.", "Jacket"),
    Topic("billing", "question", "Change of address", "I have moved. Does the parcel go to the new place?",
          "Yes: I changed it for the parcel that is packed as well."),
    Topic("billing", "complaint", "Discount code is refused", "The code from your letter does not work!",
          "It had ended by mistake. I have made it valid again, and taken 10 % off this order."),
    Topic("technical", "incident", "Cannot log in since this morning", "It says that my password is wrong. It is not.",
          "Your account was locked after five tries. I unlocked it; please choose a new password."),
    Topic("technical", "incident", "Screen stays black", "After the update the lamp shows nothing at all.",
          "Hold the button for ten seconds. It starts anew and keeps your settings.", "Lamp"),
    Topic("technical", "question", "Where is my parcel?", "The tracking has said the same for three days.",
          "It waits at the customs in Helsinki; they release it today."),
    Topic("technical", "incident", "App closes by itself", "Each time I open the map it closes.",
          "That is mended in the version of today. Please update and tell me if it happens again."),
    Topic("technical", "question", "How do I pair the second speaker?", "The first one works, the second one blinks.",
          "Press both plus keys for five seconds; the second one joins the first.", "Speaker"),
]  # fmt: skip
CHANNELS = ["chat", "web", "email", "chat", "web", "social"]
PRIORITIES = ["normal"] * 6 + ["high"] * 2 + ["low", "urgent"]
# How many write in each hour of a day in Helsinki.
HOURS = [1, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 12, 13, 14, 13, 11, 9, 8, 7, 5, 4, 3, 2]

ARTICLES = [
    ("refunds", "How long a refund takes", "return",
     "A refund is with your bank on the day we send it, and on your account two days later."),
    ("pairing", "Pair two speakers", "question",
     "Press the plus keys of both speakers for five seconds until they blink together."),
    ("unlock", "When your account is locked", "incident",
     "After five wrong passwords an account waits for an hour. Choose a new password to go on at once."),
]  # fmt: skip


def customers() -> list[dict[str, Any]]:
    """Who writes, with what segments go by."""
    rng = random.Random(SEED)  # noqa: S311 - the same week each time
    found = []
    for number, name in enumerate([*PEOPLE, CANARY]):
        plan = rng.choice(["free", "free", "plus", "pro"])
        helps_themselves = plan == "free" and rng.random() < 0.3
        found.append({
            "external_id": f"demo-{number}", "name": name, "region": rng.choice(REGIONS), "language": "en",
            "email": f"customer{number}@example.com", "attributes": {"plan": plan, "self_service": helps_themselves},
        })  # fmt: skip
    return found


def history(now: datetime, tickets: int = TICKETS) -> Iterator[dict[str, Any]]:
    """The week up to `now` as the import takes it: tickets in order, those of the last hour with a mean first response
    of MEAN_SECONDS."""
    rng = random.Random(SEED)  # noqa: S311 - the same week each time
    start = now - timedelta(days=DAYS)
    before = sorted(_instant(rng, start, now - timedelta(hours=1)) for _ in range(tickets - LAST_HOUR))
    # None of the last two minutes: those who wait now are live.
    lately = sorted(now - timedelta(seconds=rng.uniform(240, 3_590)) for _ in range(LAST_HOUR))
    waits = [rng.uniform(25, 150) for _ in lately]
    scale = MEAN_SECONDS * len(waits) / sum(waits)
    for number, created in enumerate(before):
        slow = 1.9 if created.hour in (10, 11, 17) else 1.0
        yield _ticket(rng, number, created, min(rng.expovariate(1 / 62) * slow + 8, 1_500), now)
    for number, (created, wait) in enumerate(zip(lately, waits, strict=True), start=len(before)):
        yield _ticket(rng, number, created, wait * scale, now)


def _instant(rng: random.Random, start: datetime, end: datetime) -> datetime:
    while True:
        found = start + (end - start) * rng.random()
        # Rejection keeps the hours of the day in proportion; two hours ahead of UTC is Helsinki in winter.
        if rng.random() * max(HOURS) < HOURS[(found.hour + 2) % 24]:
            return found


def _ticket(rng: random.Random, number: int, created: datetime, wait: float, now: datetime) -> dict[str, Any]:
    topic = rng.choice(TOPICS)
    agent = rng.choice([external_id for external_id, _, team in AGENTS if team == topic.team])
    answered = created + timedelta(seconds=wait)
    timeline: list[dict[str, Any]] = [
        _entry(created, "message", author="customer", body=topic.asks),
        _entry(answered, "assignee", assignee={"external_id": agent}),
        _entry(answered, "message", author="agent", body=topic.answer),
        _entry(answered, "status", status="pending"),
    ]
    if (solved := answered + timedelta(seconds=rng.uniform(300, 9_000))) < now:
        timeline.append(_entry(solved, "status", status="resolved"))
    return {
        "external_id": f"demo-{number}", "subject": topic.subject, "type": topic.type, "channel": rng.choice(CHANNELS),
        "priority": rng.choice(PRIORITIES), "customer": {"external_id": f"demo-{rng.randrange(len(PEOPLE) + 1)}"},
        "created_at": created.isoformat(), "product": topic.product, "timeline": timeline,
    }  # fmt: skip


def _entry(at: datetime, kind: str, **rest: Any) -> dict[str, Any]:
    return {"at": at.isoformat(), "kind": kind, **rest}
