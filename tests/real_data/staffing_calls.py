"""The calls as hours of a queue. Who was online is not in the source: an agent counts as there while they talk, and
between two calls that are no more than twenty minutes apart."""

from collections import defaultdict
from datetime import datetime

from app.sla.core.outlook import Wait
from app.sla.core.staffing_check import HOUR, Hour
from tests.real_data.callcenter import FOLDER
from tests.real_data.location import rows

_THERE = 1_200


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def _calls() -> list[dict[str, str]]:
    return [
        row
        for row in rows(FOLDER, "cases.csv.gz")
        if row["queued_at"] and row["type"] != "IN" and not row["anomaly"] and row["outcome"] != "answered_time_unknown"
    ]


def waits(priority: str | None = None) -> list[Wait]:
    """In the queue alone, as the reference takes them."""
    found = []
    for row in _calls():
        if priority in (None, row["priority"]):
            answered = row["outcome"] == "answered"
            end = row["answered_at"] if answered else row["abandoned_at"]
            found.append(Wait(_seconds(end) - _seconds(row["queued_at"]), answered))
    return found


def hours() -> list[Hour]:
    """From the first midnight on; calls that did not queue waited no time."""
    calls = [
        row for row in rows(FOLDER, "cases.csv.gz") if not row["anomaly"] and row["outcome"] != "answered_time_unknown"
    ]
    start = min(_seconds(row["opened_at"]) for row in calls) // 86_400 * 86_400
    end = max(_seconds(row["ended_at"] or row["abandoned_at"]) for row in calls)
    found = [Hour() for _ in range(int(end - start) // HOUR + 1)]

    def hour(at: float) -> Hour:
        return found[int(at - start) // HOUR]

    for row in calls:
        answered = row["outcome"] == "answered"
        came = _seconds(row["queued_at"] or (row["answered_at"] if answered else row["abandoned_at"]))
        ended = _seconds(row["answered_at"] if answered else row["abandoned_at"])
        began = hour(_seconds(row["opened_at"]))
        began.arrivals += 1
        began.waits += 1
        began.wait += ended - came
        learnt = hour(ended).learnt
        learnt.wait += ended - came
        learnt.gone += not answered
        if answered and row["service_seconds"]:
            done = hour(_seconds(row["ended_at"])).learnt
            done.handling += float(row["service_seconds"])
            done.handled += 1
    for first, last in _presences(calls):
        while first < last:
            until = min(last, start + (int(first - start) // HOUR + 1) * HOUR)
            hour(first).online += (until - first) / HOUR
            first = until
    return found


def _presences(calls: list[dict[str, str]]) -> list[tuple[float, float]]:
    by_agent = defaultdict(list)
    for row in calls:
        if row["agent"] and row["outcome"] == "answered":
            by_agent[row["agent"]].append((_seconds(row["answered_at"]), _seconds(row["ended_at"])))
    spans = []
    for talks in by_agent.values():
        talks.sort()
        begin, end = talks[0]
        for start, until in talks[1:]:
            if start - end > _THERE:
                spans.append((begin, end))
                begin = start
            end = max(end, until)
        spans.append((begin, end))
    return spans
