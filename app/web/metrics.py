"""Figures for Prometheus. Labels are route templates and methods: never a path, which would be one series a ticket."""

import os
from functools import lru_cache

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
from starlette.responses import Response

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"

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
HEARTBEAT = Gauge(
    "ninety_worker_heartbeat_seconds", "When a worker last finished a round.", multiprocess_mode="mostrecent"
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


def scrape() -> Response:
    registry = ONE_PROCESS
    if MULTIPROC_DIR in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
