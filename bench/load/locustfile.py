"""The same desk for locust (https://locust.io), with an admin key in KEY:
`locust -f bench/load/locustfile.py --host http://127.0.0.1:8000`. locust waits for each answer before it goes on, so
that a slow service gets less load; for latencies from the intended instant use `python -m bench.load`."""

import os
import random
from collections import deque

from locust import HttpUser, between, task

# Opened by somebody and not answered yet.
waiting: deque[str] = deque(maxlen=10_000)


class Caller(HttpUser):
    abstract = True

    def on_start(self) -> None:
        self.client.headers["Authorization"] = f"Bearer {os.environ['KEY']}"


class Customer(Caller):
    """Opens a ticket now and then."""

    weight = 5
    wait_time = between(1, 5)

    @task
    def open_ticket(self) -> None:
        customer = {"external_id": f"locust-{random.randrange(100_000)}"}
        body = {"subject": "Charged twice", "channel": "web", "customer": customer}
        with self.client.post("/v1/tickets", json=body, catch_response=True) as answer:
            if answer.status_code == 201:
                waiting.append(answer.json()["id"])
            else:
                answer.failure(answer.json().get("code", str(answer.status_code)))


class Agent(Caller):
    """Looks at what breaks next, and answers who waits longest."""

    weight = 1
    wait_time = between(0.5, 2)

    @task(1)
    def look(self) -> None:
        self.client.get("/v1/tickets?status=new,open&sort=due_at&limit=20", name="/v1/tickets?sort=due_at")

    @task(4)
    def answer(self) -> None:
        if waiting:
            path = f"/v1/tickets/{waiting.popleft()}/messages"
            self.client.post(path, json={"body": "It is on its way."}, name="/v1/tickets/{ticket_id}/messages")
