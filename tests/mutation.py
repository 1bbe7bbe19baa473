"""The mutation score of the SLA core, from what `mutmut run` left behind; ends with 1 below what is required."""

import json
import sys
from collections import Counter
from pathlib import Path

REQUIRED_PERCENT = 90
# What mutmut writes for a mutant: how its tests ended. Found is a failed test, a crash or a hang.
_SURVIVED, _UNTESTED, _SKIPPED = 0, 33, 34


def main() -> None:
    survivors, found, every = [], Counter[str](), Counter[str]()
    for file in sorted(Path("mutants/app/sla/core").glob("*.meta")):
        for name, code in json.loads(file.read_text())["exit_code_by_key"].items():
            if code is None or code == _SKIPPED:
                continue
            every[file.stem] += 1
            if code in (_SURVIVED, _UNTESTED):
                survivors.append(name)
            else:
                found[file.stem] += 1
    for name in survivors:
        print("not found:", name)
    for stem, count in every.items():
        print(f"{stem}: {found[stem]} of {count} found")
    score = 100 * found.total() / every.total()
    print(f"mutation score {score:.1f} %: {found.total()} of {every.total()} planted bugs found")
    sys.exit(score < REQUIRED_PERCENT)


main()
