"""A first start: the key that signs cursors, the stock policy and the stock goal, the admin key. Each start may run
this; only the first one finds anything to do."""

import os
import secrets
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.auth.keys import make_key
from app.db import Database, Query, Transaction
from app.goals.schemas import GoalWindow, ServiceGoalIn
from app.goals.service import create_goal
from app.keys.service import ensure_admin_key
from app.operations.tables import installation
from app.settings import Settings, SettingsError
from app.sla.core.enums import Metric
from app.sla.policies import create_policy
from app.sla.schemas.policies import SlaPolicyIn, TargetIn

_CLAIM = Query(pg_insert(installation).on_conflict_do_nothing().returning(installation.c.id), ["cursor_key"])
_CURSOR_KEY = Query(select(installation.c.cursor_key))

STOCK_POLICY = SlaPolicyIn(
    key="first-answer",
    name="First answer within 90 seconds",
    targets=[TargetIn(metric=Metric.first_response, seconds=90, warn_at_percent=[80])],
)
STOCK_GOAL = ServiceGoalIn(
    key="ninety",
    name="First answers within 90 seconds on average, over the last hour",
    target_seconds=90,
    window=GoalWindow(rolling_seconds=3600),
)


async def set_up(db: Database, admin_key: str) -> None:
    """Make what a new installation needs. Any number of processes may do so at once: one of them does."""

    async def unit(tx: Transaction) -> None:
        await ensure_admin_key(tx, admin_key)
        if await tx.locked_row(_CLAIM, cursor_key=secrets.token_bytes(32)):
            await create_policy(tx, None, STOCK_POLICY)
            await create_goal(tx, None, STOCK_GOAL)

    await db.run(unit)


async def cursor_key(db: Database) -> bytes:
    async with db.transaction() as tx:
        row = await tx.row(_CURSOR_KEY)
    if row is None:
        raise SettingsError("the database is not set up: run `ninety migrate` first")
    key: bytes = row["cursor_key"]
    return key


def key_file(settings: Settings) -> Path:
    """Where a key that is made here is kept."""
    return settings.data_dir / "admin.key"


def admin_key(settings: Settings) -> tuple[str, Path | None]:
    """The bootstrap key and, where it was made here, the file that keeps it. Raises SettingsError."""
    if settings.admin_key:
        return settings.admin_key, None
    path = key_file(settings)
    try:
        return _kept_key(path), path
    except OSError as refused:
        raise SettingsError(
            f"NINETY_DATA_DIR: the admin key cannot be kept in {path} ({refused.strerror}): give it a directory that "
            "this user may write, or set NINETY_ADMIN_KEY"
        ) from None


def _kept_key(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        key = make_key()[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole and private from the first byte on: written aside, then put in place unless another process was first.
    paused = path.with_name(f"admin.key.{os.getpid()}")
    with os.fdopen(os.open(paused, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key + "\n")
    try:
        os.link(paused, path)
    except FileExistsError:
        key = path.read_text().strip()
    finally:
        paused.unlink()
    return key
