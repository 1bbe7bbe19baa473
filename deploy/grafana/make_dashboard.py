"""Writes ninety.json, the Grafana dashboard, from the panels listed here. `python deploy/grafana/make_dashboard.py`"""

import json
from itertools import count
from pathlib import Path
from typing import Any

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_RATE = "[$__rate_interval]"
# A panel: its title, its unit, and for each query what it is and its legend.
Panel = tuple[str, str, list[tuple[str, str]]]


def _percentile(share: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{_RATE})))"


ROWS: dict[str, list[Panel]] = {
    "The promise": [
        ("Goals: value", "s", [("max by (goal) (ninety_goal_value)", "{{goal}}"),
                               ("max by (goal) (ninety_goal_target)", "{{goal}}: target")]),
        ("Goals: missed in", "s", [("min by (goal) (ninety_goal_crosses_seconds)", "{{goal}}")]),
        ("Goals: standing", "short", [
            ("max by (goal, standing) (ninety_goal_standing) == 1", "{{goal}}: {{standing}}")]),
        ("Breaches noticed after", "s", [(_percentile(0.5, "ninety_sla_detection_lag_seconds"), "p50"),
                                         (_percentile(0.99, "ninety_sla_detection_lag_seconds"), "p99")]),
        ("Warnings and breaches", "cps", [(f"sum by (kind) (rate(ninety_sla_alerts_total{_RATE}))", "{{kind}}")]),
        ("Deadlines passed, not noticed", "short", [("max(ninety_sla_clocks_due)", "clocks")]),
        ("The oldest of them", "s", [("max(ninety_sla_clocks_due_seconds)", "age")]),
        ("Outlooks: came within what was said", "percentunit", [
            ("max by (said) (ninety_outlook_came)", "{{said}} % sure")]),
    ],
    "Requests": [
        ("Answers", "reqps", [(f"sum by (status) (rate(ninety_http_requests_total{_RATE}))", "{{status}}")]),
        ("Seconds to the last byte", "s", [(_percentile(0.5, "ninety_http_request_seconds"), "p50"),
                                           (_percentile(0.99, "ninety_http_request_seconds"), "p99")]),
        ("The slowest operations, p99", "s", [
            (f"topk(8, {_percentile(0.99, 'ninety_http_request_seconds', 'method, route')})", "{{method}} {{route}}")]),
        ("Worked on", "short", [("sum by (kind) (ninety_http_running)", "{{kind}}")]),
        ("Waiting", "short", [("sum by (kind) (ninety_http_waiting)", "{{kind}}")]),
        ("Refused, too much to do", "reqps", [(f"sum by (kind) (rate(ninety_http_shed_total{_RATE}))", "{{kind}}")]),
        ("Streams", "short", [("sum(ninety_stream_listeners)", "open"),
                              (f"sum(rate(ninety_stream_listeners_dropped_total{_RATE}))", "cut off a second")]),
    ],
    "The log and its readers": [
        ("Readers: behind", "s", [("max by (reader) (ninety_reader_lag_seconds)", "{{reader}}")]),
        ("Readers: unread events", "short", [("max by (reader) (ninety_reader_unread)", "{{reader}}")]),
        ("Readers: standing still", "short", [("max by (reader) (ninety_reader_stands_still)", "{{reader}}")]),
        ("Epochs", "short", [("max(ninety_log_epoch)", "log"),
                             ("max by (reader) (ninety_reader_epoch)", "{{reader}}")]),
        ("The log has months for", "s", [("min(ninety_log_ends_seconds)", "from now"),
                                         ("max(ninety_log_unsorted)", "events without one")]),
        ("Jobs", "short", [("max by (queue) (ninety_jobs)", "{{queue}}")]),
        ("Jobs: the oldest", "s", [("max by (queue) (ninety_jobs_oldest_seconds)", "{{queue}}")]),
        ("Worker: rounds that fail", "cps", [
            (f"sum by (loop) (rate(ninety_worker_failures_total{_RATE}))", "{{loop}}")]),
        ("Worker: silent for", "s", [("time() - max(ninety_worker_heartbeat_seconds)", "heartbeat")]),
    ],
    "Webhooks": [
        ("Attempts", "cps", [(f"sum by (outcome) (rate(ninety_webhook_attempts_total{_RATE}))", "{{outcome}}")]),
        ("From the event to the answer", "s", [(_percentile(0.5, "ninety_webhook_lag_seconds"), "p50"),
                                               (_percentile(0.99, "ninety_webhook_lag_seconds"), "p99")]),
        ("Deliveries", "short", [("max by (state) (ninety_webhook_deliveries)", "{{state}}")]),
        ("Waiting to be tried for", "s", [("max(ninety_webhook_due_seconds)", "the oldest")]),
        ("Webhooks", "short", [("max by (state) (ninety_webhooks)", "{{state}}")]),
    ],
    "Database and processes": [
        ("Connections", "short", [("sum by (process, state) (ninety_db_connections)", "{{process}}: {{state}}")]),
        ("Waiting for a connection", "short", [("sum by (process) (ninety_db_waiting)", "{{process}}")]),
        ("A wait, on average", "s", [
            (f"sum by (process) (rate(ninety_db_wait_seconds_total{_RATE}))"
             f" / sum by (process) (rate(ninety_db_waits_total{_RATE}))", "{{process}}")]),
        ("No connection in time", "cps", [(f"sum by (process) (rate(ninety_db_refused_total{_RATE}))", "{{process}}")]),
        ("Standby: behind", "s", [("max(ninety_standby_lag_seconds)", "at most")]),
        ("Standby: reads answered by", "cps", [
            (f"sum by (answered) (rate(ninety_standby_reads_total{_RATE}))", "{{answered}}")]),
        ("Faults by SQLSTATE", "cps", [(f"sum by (sqlstate) (rate(ninety_db_faults_total{_RATE}))", "{{sqlstate}}")]),
        ("Memory", "bytes", [("process_resident_memory_bytes{job=\"ninety\"}", "{{instance}}")]),
        ("Clock ahead of the database's", "s", [("max by (instance) (ninety_clock_skew_seconds)", "{{instance}}")]),
        ("Releases", "short", [
            ("count by (process, version, schema) (ninety_release)", "{{process}} {{version}}, schema {{schema}}"),
            ("max(ninety_schema)", "schema of the database")]),
    ],
}  # fmt: skip


def dashboard() -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    ids, y = count(1), 0
    for title, listed in ROWS.items():
        panels.append({
            "id": next(ids), "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
        })  # fmt: skip
        y += 1
        for place, panel in enumerate(listed):
            panels.append(_panel(next(ids), panel, x=place % 3 * 8, y=y + place // 3 * 7))
        y += -(-len(listed) // 3) * 7
    return {
        "uid": "ninety", "title": "Ninety", "tags": ["ninety"], "schemaVersion": 38, "version": 1, "editable": True,
        "timezone": "utc", "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "panels": panels,
        "templating": {"list": [{
            "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source", "current": {},
            "hide": 0,
        }]},
    }  # fmt: skip


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    title, unit, queries = panel
    return {
        "id": number, "type": "timeseries", "title": title, "datasource": _SOURCE,
        "gridPos": {"h": 7, "w": 8, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(queries)
        ],
    }  # fmt: skip


def written() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("ninety.json").write_text(written())
