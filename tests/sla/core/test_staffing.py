"""Erlang's formulas against values that were computed without this code, and what holds of any queue."""

import json
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.outlook import Wait
from app.sla.core.patience import patience
from app.sla.core.staffing import MOST_AGENTS, Demand, Target, blocking, with_shrinkage
from app.sla.core.staffing_check import Accuracy, Hour, Learnt, accuracy, covered, planned
from tests.real_data import staffing_calls
from tests.real_data.callcenter import FOLDER
from tests.real_data.location import PLACE, needed

_PLACE = PLACE.parent / "reference"
REFERENCE = pytest.mark.skipif(not _PLACE.is_dir(), reason="the reference values are not there")


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_PLACE / "b_erlang.json").read_text())
    return found


def exactly(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=0)


@REFERENCE
def test_each_value_of_erlang_b_and_c(values: dict[str, Any]) -> None:
    assert (len(values["erlang_b"]), len(values["erlang_c"])) == (8, 34)
    for row in values["erlang_b"]:
        assert blocking(row["n"], row["offered"]) == exactly(row["blocking"])
    for row in values["erlang_c"]:
        found = Demand(row["offered"] / row["h"], row["h"], None).figures(row["n"], row["T"])
        assert (found.waiting, found.wait, found.within) == exactly((row["p_wait"], row["asa"], row["sl"])), row


@REFERENCE
def test_each_value_of_erlang_a(values: dict[str, Any]) -> None:
    names = ("p_wait", "p_abandon", "wait_all", "wait_answered", "sl_all", "sl_answered", "occupancy")
    assert len(values["erlang_a"]) == 25
    for row in values["erlang_a"]:
        demand = Demand(row["offered"] / row["h"], row["h"], row["mean_patience"])
        found = demand.figures(row["n"], row["T"])
        assert (
            found.waiting, found.gone, found.wait, found.answered_wait, found.within, found.answered_within,
            found.occupancy,
        ) == exactly(tuple(row[name] for name in names)), row  # fmt: skip
        assert demand.longer(row["n"], row["T"]) == exactly(row["p_offered_wait_over_T"])
        assert demand.mean_wait(row["n"]) == found.wait


@REFERENCE
def test_the_agents_that_each_load_needs(values: dict[str, Any]) -> None:
    assert len(values["agents"]) == 7
    for row in values["agents"]:
        asked = {name: count for name, count in row.items() if name[:2] in ("c_", "a_")}
        assert len(asked) == 14
        for name, count in asked.items():
            model, *words = name.split("_")
            patience_ = int(words.pop(0).removeprefix("patience")) if model == "a" else None
            target = Target(int(words[1])) if words[0] == "mean" else Target(int(words[2]), int(words[0]) / 100)
            assert Demand(row["per_hour"] / 3600, row["h"], patience_).least(target) == count, (row["offered"], name)


@REFERENCE
def test_shrinkage_is_of_whole_people(values: dict[str, Any]) -> None:
    for row in values["shrinkage"]:
        assert with_shrinkage(row["n"], row["permille"]) == row["scheduled"]


@REFERENCE
def test_what_was_published_comes_out(values: dict[str, Any]) -> None:
    """To the last digit that was published: their own roundings and searches are theirs."""
    excel, agent_a, agent_b, tanner, public, tables, bronson, garnett = (
        row["published"] for row in values["published"]
    )
    calls = Demand(100 / 1800, 180, None)
    assert calls.least(Target(20, 0.8)) == excel["raw"]
    assert with_shrinkage(14, 300) == excel["positions"]
    figures = calls.figures(14, 20)
    assert [round(each, 4) for each in (figures.within, figures.occupancy, figures.waiting)] == [
        excel["sl"], excel["occupancy"], excel["p_wait"],
    ]  # fmt: skip
    patient = Demand(100 / 1800, 180, 300)
    figures = patient.figures(agent_a["raw"], 20)
    assert patient.least(Target(20, 0.8, 0.05)) == agent_a["raw"]
    assert with_shrinkage(agent_a["raw"], 300) == agent_a["positions"]
    assert figures.within == pytest.approx(agent_a["sl"], abs=1e-3)
    assert figures.gone == pytest.approx(agent_a["p_abandon"], abs=1e-3)
    assert blocking(agent_b["raw"], 10) == pytest.approx(0.01295, abs=1e-5)
    assert blocking(16, 10) > 0.02 >= blocking(agent_b["raw"], 10)
    busy = Demand(360 / 1800, 240, None)
    figures = busy.figures(55, 20)
    assert [round(figures.waiting, 4), round(figures.wait, 3), round(figures.within, 4)] == [
        tanner["p_wait"], tanner["asa"], tanner["sl20"],
    ]  # fmt: skip
    assert busy.least(Target(20, 0.8)) == tanner["agents_80_20"]
    assert round(busy.figures(54, 20).within, 3) == tanner["sl_54"]
    assert round(Demand(10, 1, None).figures(12, 0).waiting, 5) == public["p_wait"]
    assert blocking(12, 10) == pytest.approx(public["B"], abs=1e-5)
    assert tables == {}
    assert [round(blocking(n, a), 4) for a, n in ((2, 5), (10, 14), (5, 10))] == [0.0367, 0.0568, 0.0184]
    wait = Demand(300, 1 / 182.5, None).figures(3, 0).wait
    assert (round(300 * wait, 3), round(365 * wait, 2)) == (bronson["Lq"], bronson["Wq_days"])
    figures = Demand(48 / 60, 60, 120).figures(50, 0)
    assert (round(figures.answered_wait, 1), round(figures.gone, 3)) == (garnett["A_wait"], garnett["A_abandon"])
    assert round(Demand(48 / 60, 60, None).figures(50, 0).wait, 1) == garnett["C_wait"]


def test_a_mean_alone_is_met_by_losing_callers_and_the_bound_forbids_it() -> None:
    demand = Demand(48 / 240, 240, 120)
    assert demand.least(Target(90)) == 13
    assert demand.figures(13, 90).gone > 0.7
    bounded = demand.least(Target(90, most_gone=0.05))
    assert bounded is not None
    assert demand.figures(bounded, 90).gone <= 0.05 < demand.figures(bounded - 1, 90).gone


_demands = st.builds(
    Demand, st.floats(0.001, 2), st.floats(1, 600), st.one_of(st.none(), st.floats(5, 5000))
)  # fmt: skip


@given(_demands, st.floats(1, 600), st.one_of(st.none(), st.floats(0.05, 0.99)), st.floats(0.01, 0.5))
def test_the_fewest_agents_meet_the_target_and_one_less_does_not(
    demand: Demand, seconds: float, share: float | None, most_gone: float
) -> None:
    target = Target(seconds, share, most_gone)

    def meets(agents: int) -> bool:
        figures = demand.figures(agents, seconds)
        prompt = figures.wait <= seconds if share is None else figures.within >= share
        return prompt and figures.gone <= most_gone

    least = demand.least(target)
    assert least is not None
    assert meets(least)
    assert least == 1 or not meets(least - 1)


@given(_demands, st.floats(0, 600))
def test_each_agent_more_is_better_and_shares_are_shares(demand: Demand, within: float) -> None:
    some = [demand.figures(agents, within) for agents in range(1, 40)]
    for fewer, more in pairwise(some):
        assert more.wait <= fewer.wait * (1 + 1e-9)
        assert more.gone <= fewer.gone + 1e-12
        assert more.within >= fewer.within - 1e-9
    for figures in some:
        assert all(-1e-12 <= share <= 1 + 1e-9 for share in (figures.waiting, figures.gone, figures.within))


def test_more_than_can_be_counted_has_no_answer_and_nobody_needs_nobody() -> None:
    assert Demand(MOST_AGENTS, 2, None).least(Target(10)) is None
    assert Demand(0, 100, None).least(Target(10)) == 0
    assert Demand(1, 10, None).mean_wait(10) == inf


@REFERENCE
@needed(FOLDER)
def test_patience_is_that_of_the_reference() -> None:
    reference = json.loads((_PLACE / "b_patience_dev.json").read_text())["dev"]
    for name in ("all", "high", "regular"):
        found, known = patience(staffing_calls.waits(None if name == "all" else name)), reference[name]
        assert (found.waits, found.gone) == (known["n"], known["abandoned"])
        assert found.mean == exactly(known["mean_patience"])
        assert (found.p25, found.p50) == (known["km_p25"], known["km_median"])


def test_patience_that_was_not_seen_is_not_told() -> None:
    found = patience([Wait(10.0, True), Wait(20.0, True), Wait(5.0, False)])
    assert (found.mean, found.p25, found.p50) == (35.0, 5.0, None)
    assert patience([Wait(1.0, True)]).mean is None


@needed(FOLDER)
def test_on_real_calls_the_model_errs_less_than_the_day_before() -> None:
    hours = staffing_calls.hours()
    *_, found = accuracy(hours, 168)
    assert found is not None
    assert found.hours > 300
    assert found.error < 0.85 * found.error_before
    assert found.error / found.mean < 0.75


def _last(hours: list[Hour], first: int = 0) -> Accuracy | None:
    *_, found = accuracy(hours, first)
    return found


def _steady(days: int, wait: float = 30.0) -> list[Hour]:
    return [
        Hour(60, 60, 60 * wait, 6.0, Learnt(60 * wait, 10, 60 * 240.0, 60)) for _ in range(24 * days)
    ]  # fmt: skip


def test_nothing_later_changes_what_was_foretold() -> None:
    """The figures over the first days are the same whatever comes after: nothing was peeked at."""
    changed = _steady(3)
    changed[-1].learnt = Learnt(1e9, 1000, 1e9, 1000)
    assert _last(changed) == _last(_steady(3))
    changed[-2].learnt = Learnt(1e9, 1000, 1e9, 1000)
    assert _last(changed) != _last(_steady(3))


def test_what_is_not_known_is_not_judged() -> None:
    assert _last(_steady(1)) is None
    nobody = _steady(3)
    for hour in nobody:
        hour.online = 0.0
    assert _last(nobody) is None
    unknown = _steady(3)
    for hour in unknown:
        hour.learnt = Learnt()
    assert _last(unknown) is None


def test_arrivals_are_planned_on_a_quantile_and_held_against_what_came() -> None:
    assert planned([5, 1, 3, 2, 4], 0.8) == 4
    assert planned([5, 1, 3, 2, 4], 0.81) == 5
    assert planned([7], 0.5) == 7
    # Two intervals a period, two periods before each: 3 of 4 are within, and where nobody came nothing is judged.
    assert covered([4, 0, 6, 0, 6, 0, 7, 0], 2, 0.99, 2) == (1, 2)
    assert covered([4, 1, 6, 1, 6, 1, 6, 1], 2, 0.5, 2) == (3, 4)
