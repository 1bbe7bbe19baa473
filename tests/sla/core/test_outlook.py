"""Outlooks: values that were computed without this code, scores on real calls in the order they came, and what holds
of any past."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.enums import Priority
from app.sla.core.outlook import (
    MOST_AHEAD,
    NEEDED,
    REMEMBERED,
    SAID,
    Key,
    Table,
    Told,
    Wait,
    ahead_class,
    asked_for,
    came,
    curve,
    idle_class,
    pinball,
)
from bench import call_centre

REAL = pytest.mark.skipif(not call_centre.CALLS.is_file(), reason="the real calls are not there: see TICKET_DATA")
JUDGED = pytest.mark.skipif(not call_centre.REFERENCE.is_file(), reason="the reference values are not there")


@pytest.fixture(scope="module")
def foretold() -> list[call_centre.Foretold]:
    return list(call_centre.foretold(call_centre.calls()))


@REAL
@JUDGED
def test_each_prediction_of_the_reference_comes_out(foretold: list[call_centre.Foretold]) -> None:
    rows = json.loads(call_centre.REFERENCE.read_text())["rows"]
    by_id = {each.call.id: each for each in foretold}
    assert len(rows) == 35
    for row in rows:
        each = by_id[row["case_id"]]
        assert each.met == (row["ahead"], row["online"], row["busy"])
        assert each.curve
        assert [each.curve.by(share) for share in SAID] == [row["by50"], row["by80"], row["by95"]]
        assert round(each.curve.within(90), 6) == row["within90"]


@REAL
@JUDGED
def test_the_method_scores_as_in_the_reference(foretold: list[call_centre.Foretold]) -> None:
    scores = json.loads(call_centre.REFERENCE.read_text())["scores"]
    told = [_told(each, [each.curve.by(share) for share in SAID]) for each in foretold if each.curve]
    assert round(pinball(told), 3) == scores["pinball_mean"]
    assert [round(share, 3) for share in came(told)] == scores["coverage_km"]
    assert sum(each.wait.answered for each in told) == scores["n_answered"]


@REAL
def test_what_callers_are_told_comes_as_often_as_was_said(foretold: list[call_centre.Foretold]) -> None:
    told = [_told(each, each.outlook.by) for each in foretold if each.outlook]
    assert pinball(told) <= 14.6
    for said, share in zip(SAID, came(told), strict=True):
        assert abs(said - share) <= 0.03


def _told(each: call_centre.Foretold, by: Sequence[float | None]) -> Told:
    return Told(tuple(seconds or 0.0 for seconds in by), each.call.wait)


def test_classes_are_as_they_are_written_down() -> None:
    firsts = [ahead for ahead in range(30) if ahead == 0 or ahead_class(ahead) > ahead_class(ahead - 1)]
    assert firsts == [0, 1, 2, 3, 4, 6, 8, 11, 15, 21]
    assert ahead_class(10_000) == ahead_class(MOST_AHEAD) == 9
    assert [idle_class(online, free) for online, free in ((0, 0), (0, 3), (3, -1), (3, 0), (3, 1), (3, 2), (9, 9))] == [
        0, 0, 1, 1, 2, 3, 3,
    ]  # fmt: skip


def test_keys_go_from_fine_to_coarse_and_then_to_shorter_queues() -> None:
    assert asked_for(Priority.high, 2, 1) == (
        Key(Priority.high, 2, 1), Key(None, 2, 1), Key(None, 2), Key(None, 1), Key(None, 0), Key(),
    )  # fmt: skip


_waits = st.lists(st.builds(Wait, st.integers(0, 30).map(float), st.booleans()), max_size=60)


@given(_waits)
def test_a_curve_is_the_product_over_the_instants_of_answers(waits: list[Wait]) -> None:
    made = curve(waits)
    longer, shares = Fraction(1), {}
    for seconds in sorted({wait.seconds for wait in waits if wait.answered}):
        at_risk = sum(wait.seconds >= seconds for wait in waits)
        answers = sum(wait.seconds == seconds for wait in waits if wait.answered)
        longer *= 1 - Fraction(answers, at_risk)
        shares[seconds] = 1 - longer
    assert list(made.seconds) == list(shares)
    assert list(made.shares) == pytest.approx([float(share) for share in shares.values()])


@given(_waits, st.floats(0, 40))
def test_without_anybody_who_gives_up_a_curve_counts(waits: list[Wait], seconds: float) -> None:
    all_answered = [Wait(wait.seconds, True) for wait in waits]
    within = bisect_right(sorted(wait.seconds for wait in waits), seconds) / max(len(waits), 1)
    assert curve(all_answered).within(seconds) == pytest.approx(within)


def _learnt(samples: Sequence[tuple[Priority, int, int, Wait]]) -> Table:
    table = Table()
    for sample in samples:
        table.learn(*sample)
    return table


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Priority.normal, Priority.urgent]), st.integers(0, 9), st.integers(0, 3),
            st.builds(Wait, st.integers(0, 900).map(float), st.booleans()),
        ), max_size=40,
    ),
    st.sampled_from([Priority.normal, Priority.urgent]), st.integers(0, 3),
)  # fmt: skip
def test_the_longer_the_queue_the_later_and_the_less_sure(
    some: list[tuple[Priority, int, int, Wait]], priority: Priority, idle: int
) -> None:
    # So many times over that each key is known.
    table = _learnt([sample for sample in some for _ in range(NEEDED)])
    found = [table.outlook(priority, ahead, idle) for ahead in range(10)]
    known = [each for each in found if each]
    for shorter, longer in pairwise(known):
        assert all(one <= other for one, other in zip(shorter.by, longer.by, strict=True))
        assert all(shorter.within(seconds) >= longer.within(seconds) for seconds in range(0, 1000, 50))
    for each in known:
        assert list(each.by) == sorted(each.by)


def test_too_little_is_not_known() -> None:
    few = [(Priority.normal, 0, 1, Wait(10.0, True))] * (NEEDED - 1)
    assert _learnt(few).outlook(Priority.normal, 0, 1) is None
    enough = _learnt([*few, few[0]])
    found: Any = enough.outlook(Priority.normal, 0, 1)
    assert found.by == (10.0, 10.0, 10.0)


def test_who_gave_up_is_not_left_out() -> None:
    waits = [Wait(10.0, True)] * 50 + [Wait(5.0, False)] * 50 + [Wait(60.0, True)] * 50
    assert curve(waits).within(10) == pytest.approx(0.5)
    assert curve(waits).by(0.8) == 60


def test_nobody_was_ever_answered_is_not_known() -> None:
    assert _learnt([(Priority.normal, 0, 1, Wait(10.0, False))] * NEEDED).outlook(Priority.normal, 0, 1) is None


def test_the_last_waits_of_a_key_are_remembered() -> None:
    old = [(Priority.normal, 0, 1, Wait(500.0, True))] * REMEMBERED
    new = [(Priority.normal, 0, 1, Wait(5.0, True))] * REMEMBERED
    found: Any = _learnt([*old, *new]).outlook(Priority.normal, 0, 1)
    assert found.by == (5.0, 5.0, 5.0)


def test_what_came_is_counted_with_those_who_gave_up() -> None:
    told = [Told((10.0, 20.0, 30.0), Wait(seconds, seconds != 15)) for seconds in (5.0, 10.0, 15.0, 25.0)]
    assert came(told) == pytest.approx((0.5, 0.5, 1.0))
    assert pinball(told[:1]) == pytest.approx((0.5 * 5 + 0.2 * 15 + 0.05 * 25) / 3)
