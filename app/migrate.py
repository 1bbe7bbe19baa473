"""The schema's versions: where they are, which one is newest, and how a database gets there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_ROOT = Path(__file__).parent.parent


def config(database_url: str | None = None) -> Config:
    found = Config(_ROOT / "alembic.ini")
    if database_url:
        found.attributes["database_url"] = database_url
    return found


def schema_head() -> str:
    head = ScriptDirectory.from_config(config()).get_current_head()
    assert head is not None
    return head


def migrate(database_url: str) -> None:
    """Bring the schema to this release's version. Safe to run at once from many places: the first one does it."""
    command.upgrade(config(database_url), "head")
