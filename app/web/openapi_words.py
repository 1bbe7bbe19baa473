"""What a parameter is that says nothing of itself: such a name means the same wherever it stands."""

_THINGS = (
    "ticket", "message", "promise", "attachment", "link", "agent", "customer", "view", "organization", "segment",
    "override", "segment_job", "exception", "team", "greeting", "article", "webhook", "delivery",
)  # fmt: skip
IN_PATH = {f"{thing}_id": f"The {thing.replace('_', ' ')}'s id." for thing in _THINGS} | {
    "goal_id": "The service goal's id.",
    "policy_id": "The SLA policy's id.",
    "calendar_id": "The business calendar's id.",
    "field_id": "The custom field's id.",
    "key_id": "The API key's id.",
    "job_id": "The job's id.",
    "simulation_id": "The simulation's id.",
    "incident_job_id": "The job's id.",
    "macro_id": "The macro's id.",
    "number": "The ticket's number, as people say it.",
    "external_id": "What another system calls it; a slash in it is written `%2F`.",
    "key": "The key that it was given when it was made.",
    "automation_key": "The automation's key.",
    "code": "The `code` of a problem.",
}
_OF_TICKETS = {
    "status": "in one of these statuses", "priority": "of one of these priorities", "type": "of one of these types",
    "channel": "that came by one of these channels", "segment": "of customers in one of these segments, by key",
    "team": "of one of these teams", "agent": "answered by one of these agents",
    "assignee": "assigned to one of these agents", "region": "of customers in one of these regions",
    "product": "about one of these products", "policy": "under one of these policies",
    "customer": "of one of these customers", "organization": "of one of these organizations",
}  # fmt: skip
_WHERE_IT_IS = ("ticket", "customer", "organization", "segment", "webhook")
IN_QUERY = (
    {name: f"Only tickets {words}." for name, words in _OF_TICKETS.items()}
    | {f"{thing}_id": f"Only what belongs to this {thing}; several with commas." for thing in _WHERE_IT_IS}
    | {
        "agent_id": "Only what belongs to this agent; several with commas.",
        "tag": "Only what has one of these tags.",
        "ids": "Only those with these ids.",
        "created_after": "Only what was made after this instant.",
        "created_before": "Only what was made before this instant.",
        "updated_after": "Only what was changed after this instant.",
        "needs_human": "Only tickets that wait for a person, or only the others.",
        "sla": "Only tickets with a clock that is in this state.",
        "sort": "The order; with `-` in front the other way round.",
        "state": "Only what is in one of these states.",
        "due_before": "Only what is due before this instant.",
        "breached_before": "Only what was breached before this instant.",
        "external_id": "Only what another system calls so.",
        "email": "Only who has one of these e-mail addresses.",
        "q": "Words, or their beginnings, of the name, e-mail address or external id.",
        "past": "With those that are over.",
        "metric": "What is measured, such as `first_response`.",
        "interval": "Split by this much time, in the time zone that was given.",
        "group_by": "Split by each value of these.",
        "exceptions": "`without`: as if no exception had been granted.",
        "kind": "Only those of this kind.",
        "scope": "Only those of this scope.",
        "subject": "Only fields of these.",
        "active": "Only what is active, or only what is not.",
    }
)


def describe(name: str, place: str) -> str | None:
    return {"path": IN_PATH, "query": IN_QUERY}.get(place, {}).get(name)
