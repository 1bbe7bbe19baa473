"""A change of a mean, taken apart by groups (Kitagawa 1955): how much of it comes of other shares of the groups (mix),
how much of other means within them. Pure and exact."""

from collections.abc import Hashable, Mapping
from fractions import Fraction
from itertools import cycle, islice
from typing import NamedTuple, TypeVar

Group = TypeVar("Group", bound=Hashable)


class GroupTotal(NamedTuple):
    """So many waits, and how long they are together."""

    waits: int
    total: int


class GroupEffect(NamedTuple):
    mix: Fraction
    within: Fraction


def mix_and_within(before: Mapping[Group, GroupTotal], after: Mapping[Group, GroupTotal]) -> dict[Group, GroupEffect]:
    """All effects together are the change of the mean. A group that is on one side only is all mix. Both sides must
    have a wait."""
    count0, count1 = (sum(each.waits for each in side.values()) for side in (before, after))
    mean0 = Fraction(sum(each.total for each in before.values()), count0)
    mean1 = Fraction(sum(each.total for each in after.values()), count1)
    none = GroupTotal(0, 0)
    effects = {}
    for group in {**before, **after}:
        was, is_ = before.get(group, none), after.get(group, none)
        within0 = Fraction(*reversed(was)) if was.waits else Fraction(*reversed(is_))
        within1 = Fraction(*reversed(is_)) if is_.waits else within0
        share0, share1 = Fraction(was.waits, count0), Fraction(is_.waits, count1)
        mix = (share1 - share0) * ((within0 + within1) / 2 - (mean0 + mean1) / 2)
        effects[group] = GroupEffect(mix, (share0 + share1) / 2 * (within1 - within0))
    return effects


def whole_parts(parts: Mapping[Group, Fraction], total: int) -> dict[Group, int]:
    """The parts in whole numbers that add up to `total`, which is what they add up to but for rounding: those that come
    nearest are rounded away first."""
    whole = {group: part.numerator // part.denominator for group, part in parts.items()}
    left = total - sum(whole.values())
    order = sorted(parts, key=lambda group: parts[group] - whole[group], reverse=left > 0)
    for group in islice(cycle(order), abs(left)):
        whole[group] += 1 if left > 0 else -1
    return whole
