"""`ninety import`: a file of tickets, batch by batch, through the same function as the API."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rich.progress import Progress

from app.db import Database, Transaction
from app.events import log
from app.imports.schemas import ImportOutcome
from app.imports.service import import_tickets
from app.web.body import parse_line

_BATCH = 500


async def import_file(db: Database, path: Path, progress: Progress) -> Counter[str]:
    """How many tickets had which outcome. Each batch is a transaction, so that a run that broke off is run again."""
    counts: Counter[str] = Counter({outcome.value: 0 for outcome in ImportOutcome})
    with path.open("rb") as file:
        task = progress.add_task(path.name, total=file.seek(0, os.SEEK_END))
        file.seek(0)
        for batch, position in _batches(file):
            tickets = [ticket for _, ticket in batch]
            answer = await db.run(lambda tx, tickets=tickets: _import(tx, tickets))  # type: ignore[misc]
            for (line, _), item in zip(batch, answer["items"], strict=True):
                counts[item["outcome"].value] += 1
                if item["new_agents"]:
                    added = ", ".join(item["new_agents"])
                    progress.console.print(f"{path.name}:{line}: added as inactive agents: {added}", markup=False)
                if item["problem"]:
                    progress.console.print(f"{path.name}:{line}: {item['problem'].detail}", markup=False)
            progress.update(task, completed=position)
    return counts


async def _import(tx: Transaction, tickets: list[object]) -> dict[str, Any]:
    return await import_tickets(tx, log.SYSTEM, tickets)


def _batches(file: BinaryIO) -> Iterator[tuple[list[tuple[int, object]], int]]:
    """Lines parsed, with their numbers, and how far into the file they reach."""
    batch: list[tuple[int, object]] = []
    for number, line in enumerate(iter(file.readline, b""), start=1):
        if line.strip():
            batch.append((number, parse_line(line)))
        if len(batch) == _BATCH:
            yield batch, file.tell()
            batch = []
    if batch:
        yield batch, file.tell()
