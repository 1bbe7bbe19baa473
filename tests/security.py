"""`make security`: what the tests and tools of security counted, in one table. A test reports with one line, through
the fixture `figure`; ends with 1 where anything failed."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

from tests.contract.live import ROLES

_SPECTRAL = Path("tests/contract/node_modules/.bin/spectral")


def tested(place: Path) -> tuple[Counter[str], bool]:
    """The figures that tests reported, added up by name."""
    report = place / "tests.xml"
    command = ["-m", "pytest", "--security", "-n", "2", "-q", f"--junitxml={report}"]
    passed = subprocess.run([sys.executable, *command], check=False).returncode == 0
    figures: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        for found in case.iter("property"):
            figures[found.attrib["name"]] += int(found.attrib["value"])
    return figures, passed


def fuzzed(place: Path) -> tuple[Counter[str], bool]:
    command = ["-m", "tests.contract.fuzz", "--output", str(place)]
    passed = subprocess.run([sys.executable, *command], check=False).returncode == 0
    figures: Counter[str] = Counter()
    for role in ROLES:
        cases = json.loads((place / f"{role}.json").read_text())["test_cases"]
        figures[f"schemathesis cases, {role}"] = cases["generated"]
        figures["schemathesis failures"] += cases["unique_failures"]
    return figures, passed


def linted() -> tuple[Counter[str], bool]:
    command = [str(_SPECTRAL), "lint", "--ruleset", "tests/contract/spectral.js", "--format", "json", "openapi.json"]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    # Nothing but an array: where nothing was found at all it is followed by a sentence.
    found, _ = json.JSONDecoder().raw_decode(told.lstrip())
    errors = sum(each["severity"] == 0 for each in found)
    return Counter({"spectral errors": errors}), errors == 0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ninety-security-") as name:
        parts = [tested(Path(name)), fuzzed(Path(name)), linted()]
    table = Table("security", "")
    table.columns[1].justify = "right"
    for figures, _ in parts:
        for what, count in figures.items():
            table.add_row(what, f"{count:,}")
    Console().print(table)
    return 0 if all(passed for _, passed in parts) else 1


if __name__ == "__main__":
    sys.exit(main())
