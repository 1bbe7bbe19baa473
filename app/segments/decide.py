"""Who belongs to which segment, and why. Pure; the same as SQL says it is in `matching.py`."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from app.segments.rules import Rule, evaluate


class Segment(NamedTuple):
    """A segment that is in force."""

    id: UUID
    key: str
    position: int
    rule: Rule | None
    rule_version: int
    self_service: bool
    judged: bool


class Override(NamedTuple):
    """Lets one customer in, or keeps them out, whatever the rule says."""

    id: UUID
    includes: bool


class Reason(NamedTuple):
    """The version of the rule by which they came in, or an override."""

    rule_version: int | None = None
    override_id: UUID | None = None


def decided(
    segments: Iterable[Segment], facts: Mapping[str, object], overrides: Mapping[UUID, Override]
) -> dict[UUID, Reason]:
    """The segments that somebody of these facts belongs to. `overrides` are those in force, by segment."""
    found = {}
    for segment in segments:
        override = overrides.get(segment.id)
        if override is not None:
            if override.includes:
                found[segment.id] = Reason(override_id=override.id)
        elif segment.rule is not None and evaluate(segment.rule, facts):
            found[segment.id] = Reason(segment.rule_version)
    return found
