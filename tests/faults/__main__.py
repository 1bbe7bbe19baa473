"""`make faults`: the promises that take a killed, stopped, promoted or overloaded part to show, with their figures, in
one table; ends with 1 where one of them does not hold. `--long` takes the times of the promises, CI the short form."""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

_THROUGH_POOLER = (
    "tests/test_smoke.py", "tests/test_locks.py", "tests/tickets/test_opening.py", "tests/tickets/test_merging.py",
    "tests/tickets/test_follow_ups.py", "tests/customer_merges/test_customer_merging.py",
)  # fmt: skip


def _tested(report: Path, *arguments: str) -> tuple[dict[str, list[str]], int]:
    """What tests reported by promise, and how many failed."""
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
    subprocess.run(command, check=False)
    figures: defaultdict[str, list[str]] = defaultdict(list)
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    failed = sum(int(suite.attrib["failures"]) + int(suite.attrib["errors"]) for suite in suites)
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = next((tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None), "held")
        for found in case.iter("property"):
            text = found.attrib["value"]
            figures[found.attrib["name"]].append(text if outcome == "held" else f"{text} ({outcome})")
        if outcome in ("failure", "error"):
            figures["failed"].append(f"{case.attrib['classname']}::{case.attrib['name']}")
        elif (skipped := case.find("skipped")) is not None:
            figures["not run"].append(f"{case.attrib['name']}: {skipped.attrib['message']}")
    return figures, failed


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--long", action="store_true")
    long = ["--long"] if options.parse_args().long else []
    with tempfile.TemporaryDirectory(prefix="ninety-faults-") as name:
        figures, failed = _tested(Path(name) / "faults.xml", "-m", "fault", *long)
        report = Path(name) / "pooler.xml"
        _, through_pooler = _tested(report, "--pooler", *_THROUGH_POOLER)
        cases = list(ElementTree.parse(report).iter("testcase"))
    skipped = sum(case.find("skipped") is not None or case.find("error") is not None for case in cases)
    figures["P26"].append(f"{len(cases)} tests through PgBouncer, {through_pooler} failed, {skipped} not run")
    table = Table("promise", "figure")
    for promise in sorted(figures, key=lambda each: (not each.startswith("P"), len(each), each)):
        for text in figures[promise]:
            table.add_row(promise, text)
    Console(width=140).print(table)
    return 1 if failed or through_pooler else 0


if __name__ == "__main__":
    sys.exit(main())
