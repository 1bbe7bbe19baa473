"""What the console has words for: every value of the API that it shows, in each of its languages."""

import json
import re
from pathlib import Path

import pytest

SOURCES = Path("console/src/words")
CATALOGUES = {"en": "en-more.ts", "fi": "fi.ts"}
# Parameters alone, what the console does not show, and what its pages say in a sentence of their own.
NOT_SHOWN = {
    "AppliesTo", "AvailabilityGroup", "Beside", "ClockOrder", "Cohort", "ComputeOp", "Count", "DisabledReason",
    "Effect", "Empty", "ExceptionKind", "ExceptionState", "Exceptions", "FeedOrder", "FieldKind", "HistoryInterval",
    "ImportOutcome", "InboundOutcome", "IncidentJobState", "Include", "IncludeNew", "Interval", "Judgement",
    "Liveness", "MembershipReason", "MessageOrder", "NothingMade", "OnReopen", "Oneself", "OpenedBy", "Opener",
    "OverloadGroup", "PauseKind", "Percentiles", "PromiseKind", "PromiseOrder", "ReadyState", "Scope", "SelfService",
    "SelfServiceGroup", "SlaState", "Subject", "TicketOrder", "Verdict", "Visibility", "Why",
}  # fmt: skip
# The same word means something else in these.
PREFIXES = {
    "ConditionOp": "op_", "Hours": "hours_", "Failure": "failure_", "OfferChoice": "offer_",
    "OfferChosen": "offer_", "OfferedChoice": "offer_",
}  # fmt: skip
# The history of a ticket has these; a webhook's other events are shown as it asked for them.
ON_TICKETS = ("ticket.", "message.", "attachment.", "promise.", "satisfaction.", "sla.", "sla_exception.")


def _schemas() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(Path("openapi.json").read_text())["components"]["schemas"]
    return found


def _shown() -> set[str]:
    schemas = _schemas()
    values = {
        PREFIXES.get(name, "") + value
        for name, schema in schemas.items()
        if "enum" in schema and name not in NOT_SHOWN
        for value in schema["enum"]
    }
    values |= set(schemas["Unanswered"]["properties"])
    return {value for value in values if "." not in value or value.startswith(ON_TICKETS)}


def _worded(language: str) -> set[str]:
    text = (SOURCES / CATALOGUES[language]).read_text()
    names = text.split("export const names", 1)[1].split("\n};", 1)[0]
    return {quoted or bare for quoted, bare in re.findall(r'(?:"([\w.]+)"|(\w+)): "', names)}


def test_every_value_that_is_shown_has_words_in_finnish() -> None:
    # Percentiles and their like are the same in every language.
    assert sorted(each for each in _shown() - _worded("fi") if not re.fullmatch(r"p\d+", each)) == []


def test_a_value_of_several_words_has_english_ones() -> None:
    """One word of lower-case letters reads as it is."""
    several = {each for each in _shown() if not re.fullmatch(r"[a-z]+|p\d+", each)}
    assert sorted(several - _worded("en")) == []


@pytest.mark.parametrize("language", CATALOGUES)
def test_no_words_are_of_what_there_is_not(language: str) -> None:
    """`readyz` names its checks, and they are in no list of the document."""
    checks = {"database", "schema", "worker", "accepting"}
    assert sorted(_worded(language) - _shown() - checks) == []


def test_what_is_not_shown_is_there() -> None:
    assert sorted(NOT_SHOWN - set(_schemas())) == []
