"""Where the real tickets lie. They are read where they were handed over; none of them is part of this project."""

import csv
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PLACE = Path(os.environ.get("TICKET_DATA") or Path(__file__).parents[3] / "shared" / "data")


def needed(folder: str) -> pytest.MarkDecorator:
    missing = not (PLACE / folder).is_dir()
    return pytest.mark.skipif(missing, reason=f"the real tickets are not there: no {folder} in TICKET_DATA")


def rows(folder: str, name: str) -> Iterator[dict[str, str]]:
    with gzip.open(PLACE / folder / name, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def reference(folder: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((PLACE / folder / "reference.dev.json").read_text())["values"]
    return values
