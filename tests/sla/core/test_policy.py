from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.enums import Priority
from app.sla.core.policy import Policy, first_match
from tests.sla.core.builders import FIRST, policies, priorities, promise


@given(policies(FIRST), priorities)
def test_a_target_for_the_very_priority_outweighs_one_for_any(policy: Policy, priority: Priority) -> None:
    by_priority = {target.priority: target for target in policy.targets}
    assert policy.target(FIRST, priority) == by_priority.get(priority, by_priority.get(None))


@given(st.permutations([(Priority.high, 30), (None, 90), (Priority.low, 600)]))
def test_the_order_of_targets_does_not_matter(targets: list[tuple[Priority | None, int]]) -> None:
    policy = promise(*targets)
    found = {word: policy.target(FIRST, word) for word in Priority}
    assert {word: target.seconds for word, target in found.items() if target} == {
        Priority.low: 600, Priority.normal: 90, Priority.high: 30, Priority.urgent: 90,
    }  # fmt: skip


def test_the_first_policy_that_fits_covers_even_where_it_has_no_target() -> None:
    """It is the match that decides, not whether the match promises anything for this priority."""
    silent, speaking = promise((Priority.high, 30), number=1), promise((None, 90), number=2)
    found = first_match([silent, speaking], {"ticket.priority": "low"})
    assert found is silent
    assert found.target(FIRST, Priority.low) is None


def test_where_nothing_fits_there_is_no_policy() -> None:
    never = promise((None, 1), all_of=[{"field": "ticket.channel", "op": "eq", "value": "phone"}])
    assert first_match([never], {"ticket.channel": "email"}) is None
    assert first_match([], {}) is None
