"""Run by the Python that `make deployment` installs: renders the chart with the values on stdin, as Helm does, and
holds what comes to the schemas of Kubernetes. Prints the manifests as JSON; exits with 1 where one is wrong."""

import json
import sys
from pathlib import Path

import helm_python
import kubernetes_validate
import yaml

_CHART = str(Path(__file__).parents[2] / "deploy/helm/ninety")
# The oldest that the chart names, and the newest that there are schemas of.
_VERSIONS = ("1.25", "1.37")
# Those of the Prometheus operator are not part of Kubernetes.
_CUSTOM = "monitoring.coreos.com/v1"


def main() -> None:
    values = json.load(sys.stdin)
    linted = helm_python.lint(_CHART, values, strict=True)
    # Helm recommends an icon, which is level 1.
    if bad := [each for each in linted["messages"] if each["severity"] > 1]:
        sys.exit(str(bad))
    with helm_python.Chart.load(_CHART) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="desk", namespace="support")
    manifests = [each for text in rendered.values() for each in yaml.safe_load_all(text) if each]
    for manifest in manifests:
        if manifest["apiVersion"] != _CUSTOM:
            for version in _VERSIONS:
                kubernetes_validate.validate(manifest, version, strict=True)
    json.dump(manifests, sys.stdout)


try:
    main()
except (helm_python.HelmError, kubernetes_validate.ValidationError) as wrong:
    sys.exit(str(wrong))
