"""Rows as CSV, which spreadsheets open."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import orjson
from starlette.requests import Request

from app.instants import written

AS_CSV: dict[str, object] = {"text/csv": {"schema": {"type": "string"}}}
# By which Excel knows UTF-8.
EXCEL = "\ufeff"


def wants_csv(request: Request) -> bool:
    return "text/csv" in request.headers.get("accept", "")


def header(columns: Sequence[str], *, excel: bool) -> str:
    return (EXCEL if excel else "") + ",".join(columns) + "\r\n"


def lines(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A product called `=cmd()` must stay text when a spreadsheet opens the file."""
    if isinstance(value, datetime):
        return written(value)
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value
