"""The words of the field that the clocks decide by."""

from enum import StrEnum


class Priority(StrEnum):
    low = "low"
    normal = "normal"
    high = "high"
    urgent = "urgent"


class Status(StrEnum):
    new = "new"
    open = "open"
    pending = "pending"
    on_hold = "on_hold"
    resolved = "resolved"
    closed = "closed"


DONE = frozenset({Status.resolved, Status.closed})


class AuthorKind(StrEnum):
    customer = "customer"
    agent = "agent"
    bot = "bot"
    system = "system"


class Metric(StrEnum):
    first_response = "first_response"
    next_response = "next_response"
    periodic_update = "periodic_update"
    resolution = "resolution"
    promise = "promise"


# Those for which a customer waits.
RESPONSES = frozenset({Metric.first_response, Metric.next_response})
METRICS = frozenset(Metric)


class AutomationKey(StrEnum):
    """`auto_acknowledge`: greetings. `auto_close`: what has been resolved for a while is closed. `overload_offer`: who
    writes while a goal is about to be missed is offered an article, a call back or the wait. `self_service_first`: who
    is in a self-service segment gets articles in answer to a new ticket."""

    auto_acknowledge = "auto_acknowledge"
    auto_close = "auto_close"
    overload_offer = "overload_offer"
    self_service_first = "self_service_first"


class OfferChoice(StrEnum):
    """What somebody may choose while many wait: an article that helps, a call back that is promised, or the wait."""

    article = "article"
    call_back = "call_back"
    wait = "wait"


class TicketType(StrEnum):
    question = "question"
    incident = "incident"
    problem = "problem"
    task = "task"
    complaint = "complaint"
    return_ = "return"


class Channel(StrEnum):
    web = "web"
    email = "email"
    phone = "phone"
    chat = "chat"
    social = "social"
    api = "api"
    in_person = "in_person"
