"""What a receiver gets, and what is known of it afterwards."""

import httpx
from standardwebhooks import Webhook

from app.db import Database
from app.webhooks.sending import Sender
from tests.web.contract import Open
from tests.webhooks.conftest import Hook, deliver
from tests.webhooks.receiver import Receiver


async def test_an_event_arrives_once_signed_and_is_known_to_have_arrived(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver
) -> None:
    made = await hook(there.url, types=["ticket.created"])
    await open_ticket()
    await deliver(db, sending)
    [got] = there.received
    event = Webhook(made["secret"]).verify(got.body, got.headers)
    assert event["type"] == "ticket.created"
