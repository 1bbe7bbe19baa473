"""Figures for Prometheus. Labels are route templates and methods: never a path, which would be one series a ticket."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock, Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client import REGISTRY as ONE_PROCESS
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.settings import cannot_listen

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"
_STANDS_SECONDS = 1.0

REQUESTS = Counter("ninety_http_requests", "Requests answered.", ["method", "route", "status"])
SHED = Counter("ninety_http_shed", "Requests refused because there was too much to do.", ["kind"])
SECONDS = Histogram(
    "ninety_http_request_seconds",
    "Time to the last byte of the answer.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
DETECTION_LAG = Histogram(
    "ninety_sla_detection_lag_seconds",
    "From the instant of a breach to its being noticed.",
    buckets=(0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5, 60),
)
SWEPT = Counter("ninety_sla_alerts", "Warnings and breaches recorded by the sweep.", ["kind"])
DELIVERIES = Counter("ninety_webhook_attempts", "Attempts at webhooks, by how they ended.", ["outcome"])
DELIVERY_LAG = Histogram(
    "ninety_webhook_lag_seconds",
    "From an event to the receiver's answer, where the first attempt was the last.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
)
LISTENERS_DROPPED = Counter("ninety_stream_listeners_dropped", "Listeners that fell behind and were cut off.")
LOOP_FAILURES = Counter("ninety_worker_failures", "Iterations of a worker loop that failed.", ["loop"])
RUNNING = Gauge(
    "ninety_http_running", "Requests that are worked on, by what goes first.", ["kind"], multiprocess_mode="livesum"
)
WAITING = Gauge(
    "ninety_http_waiting",
    "Requests that are authenticated, wait for their body or stand in line.",
    ["kind"],
    multiprocess_mode="livesum",
)
LISTENERS = Gauge("ninety_stream_listeners", "Open event streams.", multiprocess_mode="livesum")
DB_CONNECTIONS = Gauge(
    "ninety_db_connections",
    "Database connections: in use, idle, and how many there may be.",
    ["process", "state"],
    multiprocess_mode="livesum",
)
DB_WAITING = Gauge(
    "ninety_db_waiting", "Callers that wait for a database connection now.", ["process"], multiprocess_mode="livesum"
)
DB_WAITS = Counter("ninety_db_waits", "Times that a caller had to wait for a database connection.", ["process"])
DB_WAIT_SECONDS = Counter("ninety_db_wait_seconds", "For how long, in all.", ["process"])
DB_REFUSED = Counter("ninety_db_refused", "Times that no database connection became free in time.", ["process"])
DB_FAULTS = Counter(
    "ninety_db_faults",
    "Failures of statements and connections by SQLSTATE, those included that a repeat has mended.",
    ["process", "sqlstate"],
)
STANDBY_LAG = Gauge(
    "ninety_standby_lag_seconds",
    "By how much the standby that reports are read from is behind at most; +Inf where it does not answer.",
    multiprocess_mode="livemax",
)
STANDBY_READS = Counter(
    "ninety_standby_reads",
    "Reads that a standby may answer: answered by it, by the primary since it is behind or away, or by the primary "
    "after the standby had failed.",
    ["answered"],
)
RELEASE = Gauge(
    "ninety_release",
    "1: the release of a process, and the newest migration that it knows.",
    ["process", "version", "schema"],
    multiprocess_mode="livemax",
)
# What the database says, which every worker publishes: of several, any one will do.
EPOCH = Gauge("ninety_log_epoch", "The epoch of the log that is in force.", multiprocess_mode="livemostrecent")
SCHEMA = Gauge("ninety_schema", "The newest migration that was run, as a number.", multiprocess_mode="livemostrecent")
CLOCK_SKEW = Gauge(
    "ninety_clock_skew_seconds",
    "By how much this process's clock is ahead of the database's.",
    multiprocess_mode="livemostrecent",
)
READER_EPOCH = Gauge(
    "ninety_reader_epoch", "The epoch that a reader of the log is in.", ["reader"], multiprocess_mode="livemostrecent"
)
READER_LAG = Gauge(
    "ninety_reader_lag_seconds",
    "The age of the first event that a reader has not read.",
    ["reader"],
    multiprocess_mode="livemostrecent",
)
READER_UNREAD = Gauge(
    "ninety_reader_unread",
    "Events that a reader has not read, up to ten thousand.",
    ["reader"],
    multiprocess_mode="livemostrecent",
)
READER_STILL = Gauge(
    "ninety_reader_stands_still",
    "1: a reader has had something to read for a minute, and has not moved.",
    ["reader"],
    multiprocess_mode="livemostrecent",
)
CLOCKS_DUE = Gauge(
    "ninety_sla_clocks_due",
    "Deadlines and warnings that have passed and are not noticed yet, up to ten thousand.",
    multiprocess_mode="livemostrecent",
)
CLOCKS_DUE_SECONDS = Gauge(
    "ninety_sla_clocks_due_seconds", "The age of the oldest of them.", multiprocess_mode="livemostrecent"
)
LOG_ENDS = Gauge(
    "ninety_log_ends_seconds",
    "In how many seconds the first month begins for which the log has no partition yet.",
    multiprocess_mode="livemostrecent",
)
UNSORTED_EVENTS = Gauge(
    "ninety_log_unsorted", "Events for which there was no partition.", multiprocess_mode="livemostrecent"
)
DELIVERIES_PENDING = Gauge(
    "ninety_webhook_deliveries",
    "Deliveries that are tried or wait for it, and those of a day that were given up, up to ten thousand.",
    ["state"],
    multiprocess_mode="livemostrecent",
)
DELIVERIES_DUE_SECONDS = Gauge(
    "ninety_webhook_due_seconds",
    "How long the oldest delivery has waited to be tried, of webhooks that are not paused.",
    multiprocess_mode="livemostrecent",
)
WEBHOOKS = Gauge(
    "ninety_webhooks",
    "Webhooks that are paused because their receiver fails, and that were turned off for it.",
    ["state"],
    multiprocess_mode="livemostrecent",
)
JOBS = Gauge("ninety_jobs", "Jobs that are due or worked on.", ["queue"], multiprocess_mode="livemostrecent")
JOBS_SECONDS = Gauge(
    "ninety_jobs_oldest_seconds", "Since when the oldest of them is due.", ["queue"], multiprocess_mode="livemostrecent"
)
GOAL_VALUE = Gauge(
    "ninety_goal_value",
    "A goal's statistic when it was last judged: seconds, or percent of an attainment.",
    ["goal"],
    multiprocess_mode="livemostrecent",
)
GOAL_TARGET = Gauge(
    "ninety_goal_target", "What the goal asks for, in the same unit.", ["goal"], multiprocess_mode="livemostrecent"
)
GOAL_STANDING = Gauge(
    "ninety_goal_standing",
    "1 for how a goal stands: met, at_risk or missed.",
    ["goal", "standing"],
    multiprocess_mode="livemostrecent",
)
GOAL_CROSSES = Gauge(
    "ninety_goal_crosses_seconds",
    "In how many seconds a goal that is met is missed if nobody answers; NaN where that is not foreseen.",
    ["goal"],
    multiprocess_mode="livemostrecent",
)
HEARTBEAT = Gauge(
    "ninety_worker_heartbeat_seconds", "When a worker last finished a round.", multiprocess_mode="mostrecent"
)
OUTLOOK_CAME = Gauge(
    "ninety_outlook_came",
    "The share of first answers that came within what was said, of the last who waited.",
    ["said"],
    multiprocess_mode="mostrecent",
)
OUTLOOKS_SCORED = Gauge("ninety_outlook_scored", "Of how many waits that is the share.", multiprocess_mode="mostrecent")
OUTLOOK_LOSS = Gauge(
    "ninety_outlook_pinball_loss_seconds", "How far off it was, on average.", multiprocess_mode="mostrecent"
)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@lru_cache(maxsize=4096)
def _of(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    # A method is the caller's word: an unknown one must not become a series of its own.
    known = method if method in _METHODS else "other"
    return REQUESTS.labels(known, route, status), SECONDS.labels(known, route)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    counter, histogram = _of(method, route, status)
    counter.inc()
    histogram.observe(seconds)


# What only a worker counts: under `ninety serve` that is another process, which leaves its figures in files.
_OF_WORKER = frozenset(
    each._name
    for each in (
        DETECTION_LAG, SWEPT, DELIVERIES, DELIVERY_LAG, LOOP_FAILURES, HEARTBEAT, OUTLOOK_CAME, OUTLOOKS_SCORED,
        OUTLOOK_LOSS, EPOCH, SCHEMA, CLOCK_SKEW, READER_EPOCH, READER_LAG, READER_UNREAD, READER_STILL, CLOCKS_DUE,
        CLOCKS_DUE_SECONDS, LOG_ENDS, UNSORTED_EVENTS, DELIVERIES_PENDING, DELIVERIES_DUE_SECONDS, WEBHOOKS, JOBS,
        JOBS_SECONDS, GOAL_VALUE, GOAL_TARGET, GOAL_STANDING, GOAL_CROSSES,
    )
)  # fmt: skip

# What each process counts of itself, under a label of its own.
_OF_BOTH = frozenset(
    each._name for each in (DB_CONNECTIONS, DB_WAITING, DB_WAITS, DB_WAIT_SECONDS, DB_REFUSED, DB_FAULTS, RELEASE)
)


class _WithWorker(Collector):
    """The figures of this process, and those of its worker from their files."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._worker = multiprocess.MultiProcessCollector(CollectorRegistry(), directory)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        _forget_dead(self._directory)
        theirs: dict[str, Metric] = {each.name: each for each in self._worker.collect()}  # type: ignore[no-untyped-call]
        for own in ONE_PROCESS.collect():
            if own.name in _OF_BOTH and own.name in theirs:
                own.samples.extend(theirs[own.name].samples)
            yield theirs.get(own.name, own) if own.name in _OF_WORKER else own


class _OfProcesses(Collector):
    """The figures of all processes that leave them in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._all = multiprocess.MultiProcessCollector(CollectorRegistry(), directory)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        _forget_dead(self._directory)
        yield from self._all.collect()  # type: ignore[no-untyped-call]


def _forget_dead(directory: str) -> None:
    """What a process holds, it holds no longer once it is dead: however it died."""
    for file in Path(directory).glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            multiprocess.mark_process_dead(int(pid), directory)  # type: ignore[no-untyped-call]


class Figures:
    """The figures as text, made at most once a second and by one at a time, whoever asks: that takes tens of
    milliseconds. Of this process; of all that share a directory; or, with `worker`, of this one and
    the worker that writes there."""

    def __init__(self, worker: str | None = None) -> None:
        self._source: Collector = ONE_PROCESS
        if directory := os.environ.get(MULTIPROC_DIR):
            self._source = _OfProcesses(directory)
        elif worker:
            self._source = _WithWorker(worker)
        self._making = Lock()
        self._text = b""
        self._until = 0.0

    def text(self) -> bytes:
        """From a thread: that leaves the loop its turns."""
        with self._making:
            if time.monotonic() >= self._until:
                self._text = generate_latest(self._source)
                self._until = time.monotonic() + _STANDS_SECONDS
            return self._text


@contextmanager
def served(figures: Figures, host: str, port: int | None) -> Iterator[None]:
    """At a port of their own, where there is one. Raises SettingsError where it is taken."""
    if port is None:
        yield
        return

    def answer(_: Mapping[str, object], start: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
        start("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
        return [figures.text()]

    try:
        listening = make_server(host, port, answer, ThreadingWSGIServer, handler_class=_Silent)
    except OSError as refused:
        raise cannot_listen("NINETY_METRICS_PORT", host, port, refused) from None
    with listening as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Whoever scrapes is no line in the log."""
