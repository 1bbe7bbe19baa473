"""Where the seconds of a wait went: each microsecond in one part, as counted instant by instant."""

from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.wait_parts import Presence, Span, StaffTimes, WaitPart, Work, parts_of_wait

_LAST = 60
_agents = st.integers(1, 3).map(lambda number: UUID(int=number))


@st.composite
def _apart(draw: st.DrawFn) -> list[Span]:
    instants = sorted(draw(st.sets(st.integers(0, _LAST), max_size=6)))
    return list(zip(instants[::2], instants[1::2], strict=False))


@st.composite
def _presences(draw: st.DrawFn) -> list[Presence]:
    """Of one agent they are apart, or adjoin."""
    found = []
    for number in range(1, draw(st.integers(1, 4))):
        instants = sorted(draw(st.sets(st.integers(0, _LAST), max_size=5)))
        for start, end in pairwise(instants):
            if draw(st.booleans()):
                channels = draw(st.sampled_from((None, frozenset({"chat"}), frozenset({"email"}))))
                found.append(Presence(UUID(int=number), start, end, draw(st.integers(0, 2)), channels))
    return found


_work = st.lists(st.builds(Work, _agents, st.integers(0, _LAST), st.integers(0, _LAST)), max_size=6)


def _state(at: int, presences: list[Presence], work: list[Work]) -> WaitPart:
    here = [each for each in presences if each.start <= at < each.end and "email" not in (each.channels or ())]
    if not here:
        return WaitPart.nobody_online
    for each in here:
        if sum(task.agent_id == each.agent_id and task.start <= at < task.end for task in work) < each.capacity:
            return WaitPart.free_not_taken
    return WaitPart.all_busy


@given(_apart(), _apart(), _apart(), _presences(), _work)
def test_each_instant_is_in_the_part_whose_state_it_is_in(
    counted: list[Span], closed: list[Span], bot: list[Span], presences: list[Presence], work: list[Work]
) -> None:
    expected = dict.fromkeys(WaitPart, 0)
    for at in range(_LAST):
        if not any(start <= at < end for start, end in counted):
            continue
        if any(start <= at < end for start, end in closed):
            expected[WaitPart.outside_hours] += 1
        elif any(start <= at < end for start, end in bot):
            expected[WaitPart.with_bot] += 1
        else:
            expected[_state(at, presences, work)] += 1
    found = parts_of_wait(counted, closed, bot, StaffTimes(presences, work, "chat"))
    assert found == expected
    assert sum(found.values()) == sum(end - start for start, end in counted)
