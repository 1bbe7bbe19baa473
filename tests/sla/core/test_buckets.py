"""Waits by buckets, against what is counted wait by wait."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.buckets import BOUNDS, bucket, bucket_of_rank, rank, representative

_TEN_YEARS = 10 * 365 * 86_400 * 1_000_000
waits = st.integers(0, _TEN_YEARS)


def test_the_bounds_are_whole_microseconds_from_nothing_to_ten_years() -> None:
    assert BOUNDS[:51] == tuple(range(51))
    assert BOUNDS[51] > 51
    assert BOUNDS[-2] <= _TEN_YEARS < BOUNDS[-1]
    assert len(BOUNDS) == 1504


@given(wait=waits)
def test_a_wait_lies_in_its_bucket_and_is_told_to_one_percent(wait: int) -> None:
    number = bucket(wait)
    assert BOUNDS[number] <= wait < BOUNDS[number + 1]
    assert abs(representative(number) - wait) <= wait / 100


@given(many=st.lists(waits, min_size=1), percent=st.integers(0, 100))
def test_the_bucket_of_a_rank_holds_the_wait_of_that_rank(many: list[int], percent: int) -> None:
    nth = rank(percent, len(many))
    wanted = sorted(many)[nth - 1]
    assert 100 * sum(wait <= wanted for wait in many) >= percent * len(many)
    number, within = bucket_of_rank(Counter(map(bucket, many)), nth)
    assert sorted(wait for wait in many if bucket(wait) == number)[within - 1] == wanted


def test_there_is_no_rank_beyond_all() -> None:
    with pytest.raises(ValueError, match="not so many"):
        bucket_of_rank({3: 2}, 3)
