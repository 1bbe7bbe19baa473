"""A worker's look at what waits: every five seconds into the metrics, and into the log where something falls behind."""

import math
import time
from collections.abc import Iterator

import structlog

from app.db import Database
from app.goals.watching import GoalState
from app.operations.backlogs import Backlogs, Goal, Queue, Reader, backlogs, goals, queues, readers
from app.web import metrics

log = structlog.get_logger("ninety.worker")

# Whoever is that late does not keep up; what a burst takes to be swept is less.
_LATE_SECONDS = 5.0


class Watch:
    """`run_once` is a round of the worker's loops. Says once what falls behind, and once that it has caught up."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._goals: set[str] = set()
        self._late: dict[str, float] = {}

    async def run_once(self) -> bool:
        async with self._db.transaction(reads=True) as tx:
            asked = time.time()
            state = await backlogs(tx)
            skew = (asked + time.time()) / 2 - state.now.timestamp()
            of_readers, of_queues, of_goals = await readers(tx), await queues(tx), await goals(tx)
        _publish(state, skew, of_queues)
        _publish_readers(of_readers)
        self._publish_goals(of_goals)
        self._say(dict(_lateness(state, of_readers)))
        return False

    def _publish_goals(self, found: list[Goal]) -> None:
        for goal in found:
            _publish_goal(goal)
        # What was published cannot be taken back from a file that processes share.
        for key in self._goals - {goal.key for goal in found}:
            _publish_goal(Goal(key, "", None, math.nan, None))
        self._goals |= {goal.key for goal in found}

    def _say(self, late: dict[str, float]) -> None:
        for what in late.keys() - self._late.keys():
            log.warning("falls_behind", what=what, seconds=round(late[what], 1))
        for what in self._late.keys() - late.keys():
            log.info("caught_up", what=what)
        self._late = late


def _lateness(state: Backlogs, found: list[Reader]) -> Iterator[tuple[str, float]]:
    """What is late, by how many seconds."""
    seconds = {"sweep": state.due_clocks_seconds, "webhooks": state.due_deliveries_seconds}
    seconds |= {f"reader {reader.name}": reader.behind_seconds or 0.0 for reader in found}
    return ((what, by) for what, by in seconds.items() if by > _LATE_SECONDS)


def _publish(state: Backlogs, skew: float, found: list[Queue]) -> None:
    metrics.EPOCH.set(state.epoch)
    metrics.SCHEMA.set(int(state.schema))
    metrics.CLOCK_SKEW.set(skew)
    metrics.CLOCKS_DUE.set(state.due_clocks)
    metrics.CLOCKS_DUE_SECONDS.set(state.due_clocks_seconds)
    metrics.LOG_ENDS.set(state.log_ends_in_seconds)
    metrics.UNSORTED_EVENTS.set(state.unsorted_events)
    metrics.DELIVERIES_PENDING.labels("pending").set(state.pending_deliveries)
    metrics.DELIVERIES_PENDING.labels("dead").set(state.dead_deliveries)
    metrics.DELIVERIES_DUE_SECONDS.set(state.due_deliveries_seconds)
    metrics.WEBHOOKS.labels("paused").set(state.webhooks_open)
    metrics.WEBHOOKS.labels("disabled").set(state.webhooks_disabled)
    for queue in found:
        metrics.JOBS.labels(queue.name).set(queue.waiting)
        metrics.JOBS_SECONDS.labels(queue.name).set(queue.oldest_seconds)


def _publish_readers(found: list[Reader]) -> None:
    for reader in found:
        metrics.READER_EPOCH.labels(reader.name).set(reader.epoch)
        metrics.READER_LAG.labels(reader.name).set(reader.behind_seconds or 0)
        metrics.READER_UNREAD.labels(reader.name).set(reader.unread)
        metrics.READER_STILL.labels(reader.name).set(reader.stands_still)


def _publish_goal(goal: Goal) -> None:
    metrics.GOAL_VALUE.labels(goal.key).set(math.nan if goal.value is None else goal.value)
    metrics.GOAL_TARGET.labels(goal.key).set(goal.target)
    crosses = goal.crosses_in_seconds
    metrics.GOAL_CROSSES.labels(goal.key).set(math.nan if crosses is None else crosses)
    for standing in GoalState:
        metrics.GOAL_STANDING.labels(goal.key, standing).set(standing == goal.standing)
