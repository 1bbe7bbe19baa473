"""What Kubernetes gets of the chart: rendered by Helm's own engine, held to the schemas of Kubernetes."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import __version__
from app.settings import Settings

_ROOT = Path(__file__).parents[2]
_PYTHON = Path(__file__).parent / ".venv/bin/python"
_RULES = _ROOT / "deploy/prometheus/ninety.rules.yml"
_ALL = {
    "autoscaling": {"enabled": True}, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True}, "imagePullSecrets": [{"name": "registry"}],
    "settings": {"NINETY_POOL_SIZE": "8", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.tracing:4318"},
    "api": {"nodeSelector": {"pool": "web"}, "tolerations": [{"key": "web", "operator": "Exists"}]},
    "networkPolicy": {
        "callers": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        "databases": [{"ipBlock": {"cidr": "10.0.7.0/24"}}], "egress": [{"ports": [{"port": 4318}]}],
    },
}  # fmt: skip

pytestmark = pytest.mark.skipif(not _PYTHON.exists(), reason="needs make deployment")


def _ran(values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [str(_PYTHON), str(Path(__file__).with_name("render.py"))]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


@cache
def _rendered(values: str = "{}") -> list[dict[str, Any]]:
    ran = _ran(json.loads(values))
    assert ran.returncode == 0, ran.stderr
    manifests: list[dict[str, Any]] = json.loads(ran.stdout)
    return manifests


def _one(manifests: list[dict[str, Any]], kind: str, name: str = "desk") -> dict[str, Any]:
    [found] = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def _pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    templates = [each["spec"]["template"] for each in manifests if "template" in each["spec"]]
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"] for each in templates}


def test_by_default_it_is_a_job_two_deployments_and_what_guards_them() -> None:
    kinds = sorted((each["kind"], each["metadata"]["name"]) for each in _rendered())
    assert kinds == [
        ("Deployment", "desk"), ("Deployment", "desk-worker"), ("Job", "desk-migrate"), ("NetworkPolicy", "desk"),
        ("PodDisruptionBudget", "desk"), ("Service", "desk"),
    ]  # fmt: skip


def test_all_of_it_is_what_kubernetes_takes() -> None:
    kinds = {each["kind"] for each in _rendered(json.dumps(_ALL))}
    assert {"HorizontalPodAutoscaler", "ServiceMonitor", "PrometheusRule"} <= kinds


def test_the_schema_is_migrated_before_each_release() -> None:
    job = _one(_rendered(), "Job", "desk-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]


def test_each_pod_may_do_little_and_has_its_secrets_by_reference() -> None:
    pods = _pods(_rendered())
    assert set(pods) == {"api", "worker", "migrate"}
    for pod in pods.values():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        # Else a Service of this name would set NINETY_PORT, and nothing would start.
        assert pod["enableServiceLinks"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["envFrom"] == [{"secretRef": {"name": "ninety"}}]
        assert not {each["name"] for each in container["env"]} & {"DATABASE_URL", "NINETY_ADMIN_KEY"}


def test_every_variable_is_a_setting_of_the_service() -> None:
    given = {each["name"]: each["value"] for each in _pods(_rendered(json.dumps(_ALL)))["api"]["containers"][0]["env"]}
    own = {name.removeprefix("NINETY_").lower(): value for name, value in given.items() if name.startswith("NINETY_")}
    assert set(own) <= set(Settings.model_fields)
    assert Settings(database_url="postgresql://db.test/n", **own).pool_size == 8


def test_the_grace_period_is_longer_than_the_drain_and_what_follows() -> None:
    for pod in _pods(_rendered(json.dumps({"drainSeconds": 20, "shutdownSeconds": 30}))).values():
        assert pod["terminationGracePeriodSeconds"] > 50
    ready = _pods(_rendered())["api"]["containers"][0]["readinessProbe"]
    # It is noticed while the process still answers.
    assert ready["periodSeconds"] * ready["failureThreshold"] < 10


def test_a_worker_is_asked_by_what_a_container_of_it_has() -> None:
    [container] = _pods(_rendered())["worker"]["containers"]
    _, script = container["livenessProbe"]["exec"]["command"]
    assert f"COPY {script} ./{script}" in (_ROOT / "Dockerfile").read_text()


def test_where_it_scales_by_requests_it_sets_no_number_of_replicas() -> None:
    scaled = _rendered(json.dumps(_ALL))
    assert "replicas" not in _one(scaled, "Deployment")["spec"]
    [metric] = _one(scaled, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "ninety_http_running"


def test_selectors_find_the_pods_that_they_mean() -> None:
    manifests = _rendered(json.dumps(_ALL))
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in manifests
        if each["kind"] == "Deployment"
    }

    def chosen(selector: dict[str, str]) -> set[str]:
        return {name for name, has in labels.items() if selector.items() <= has.items()}

    assert chosen(_one(manifests, "Service")["spec"]["selector"]) == {"desk"}
    assert chosen(_one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]) == {"desk"}
    metrics = _one(manifests, "Service", "desk-metrics")
    assert chosen(metrics["spec"]["selector"]) == {"desk", "desk-worker"}
    assert chosen(_one(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]) == {"desk", "desk-worker"}
    monitor = _one(manifests, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= metrics["metadata"]["labels"].items()
    assert [each["port"] for each in monitor["endpoints"]] == [metrics["spec"]["ports"][0]["name"]]


def test_the_alerts_are_those_of_the_one_file_of_rules() -> None:
    spec = _one(_rendered(json.dumps(_ALL)), "PrometheusRule")["spec"]
    assert spec == yaml.safe_load(_RULES.read_text())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_takes_the_rules_as_they_are_rendered(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(_one(_rendered(json.dumps(_ALL)), "PrometheusRule")["spec"]))
    ran = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_digest_wins_over_a_tag() -> None:
    digest = f"sha256:{'a' * 64}"
    given = json.dumps({"image": {"repository": "registry.test/ninety", "tag": "1", "digest": digest}})
    assert _pods(_rendered(given))["api"]["containers"][0]["image"] == f"registry.test/ninety@{digest}"
    assert _pods(_rendered())["api"]["containers"][0]["image"] == f"ninety:{__version__}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 3},
        {"settings": {"NINETY_ADMIN_KEY": "nty_x"}},
        {"settings": {"NINETY_POOL_SIZE": 8}},
        {"settings": {"PGPASSWORD": "x"}},
        {"image": {"digest": "sha256:1"}},
        {"secret": {"name": ""}},
        {"drainSeconds": -1},
    ],
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    assert _ran(wrong).returncode != 0
