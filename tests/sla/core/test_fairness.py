"""Whether a group is behind: intervals as published, and few false alarms however often one looks."""

import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.fairness import Attainment, critical_value, difference, gaps, unfair, wilson

_Z = NormalDist().inv_cdf(0.975)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998, table II, method 10, 95 %.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = difference((one[0] / one[1], one[1]), (other[0] / other[1], other[1]), _Z)
    assert [round(end, 4) for end in found] == [low, high]


_attainments = st.integers(1, 400).flatmap(lambda n: st.builds(Attainment, st.just(n), st.integers(0, n)))


@given(_attainments, st.floats(0.5, 5))
def test_a_share_lies_in_its_interval(group: Attainment, z: float) -> None:
    low, high = wilson(group.share, group.count, z)
    assert 0 <= low <= group.share + 1e-12
    assert group.share - 1e-12 <= high <= 1


@given(st.dictionaries(st.sampled_from("abcde"), _attainments), st.floats(0, 60))
def test_so_many_are_needed_and_no_fewer(groups: dict[str, Attainment], allowed: float) -> None:
    found = gaps(groups, allowed)
    assert len(found) == (len(groups) if len(groups) > 1 else 0)
    z = critical_value(len(groups))
    for gap in found:
        best, group = groups[gap.best], groups[gap.group]

        def at_least(count: int, best: Attainment = best, group: Attainment = group) -> float:
            return 100 * difference((best.share, best.count), (group.share, count), z)[0]

        assert gap.at_least == at_least(group.count) <= gap.points + 1e-9
        if gap.needed is None:
            assert gap not in unfair(found, allowed)
            continue
        assert at_least(gap.needed) > allowed
        assert gap.needed == 1 or at_least(gap.needed - 1) <= allowed
        assert (gap in unfair(found, allowed)) == (group.count >= gap.needed)


def test_a_lone_or_empty_group_is_behind_nobody() -> None:
    assert gaps({}, 0) == []
    assert gaps({"a": Attainment(500, 0)}, 0) == []
    assert gaps({"a": Attainment(500, 0), "b": Attainment(0, 0)}, 0) == []


def _alarms(draw: random.Random, shares: list[float], allowed: float, days: int) -> int:
    """How often `unfair` is said anew, looking each hour at the last week; four tickets an hour of each group."""
    hours: list[list[int]] = []
    said, alarms = False, 0
    for _ in range(24 * days):
        hours.append([sum(draw.random() < share for _ in range(4)) for share in shares])
        window = hours[-7 * 24 :]
        groups = {str(n): Attainment(4 * len(window), sum(row[n] for row in window)) for n in range(len(shares))}
        now = bool(unfair(gaps(groups, allowed), allowed))
        alarms += now and not said
        said = now
    return alarms


def test_a_false_alarm_is_rare_and_a_true_one_comes() -> None:
    draw = random.Random(5)
    # The last group is exactly as far behind as is allowed: the hardest case that is fair.
    assert sum(_alarms(draw, [0.8, 0.8, 0.7], 10, 90) for _ in range(2)) <= 2
    assert _alarms(draw, [0.8, 0.8, 0.4], 10, 7) >= 1
