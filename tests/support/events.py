"""What an event says, in the form that tests compare."""

from typing import Any


def actor_of(event: dict[str, Any]) -> dict[str, Any]:
    return {"kind": event["actorkind"], "id": event.get("actorid")}
