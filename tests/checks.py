"""What no linter checks: the size of files, and that the migrations make the schema that the tables describe, forward
and back, in SQL that takes no long lock. `python -m tests.checks`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from app.migrate import config, migrate
from embedded_postgres import EmbeddedPostgres

LINES = 400
# Seconds, percents, cycles and versions do not outgrow 32 bits; what could (ids, numbers) is wider. The one varchar is
# Alembic's own.
ALLOWED = "prefer-bigint-over-int,prefer-bigint-over-smallint,prefer-text-field"


def too_long() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "console/src/*"], capture_output=True, text=True, check=True
    ).stdout.split()
    sizes = {name: len(Path(name).read_text().splitlines()) for name in listed if Path(name).exists()}
    return [f"{name} has {size} lines; split it at {LINES}" for name, size in sizes.items() if size > LINES]


def migrations() -> None:
    """Raises where `alembic check` sees a difference, or a way back does not work."""
    with tempfile.TemporaryDirectory(prefix="ninety-check-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        with EmbeddedPostgres(Path(directory) / "data", durable=False) as url:
            migrate(url)
            command.check(config(url))
            command.downgrade(config(url), "base")
            migrate(url)


def locks() -> int:
    sql = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"], capture_output=True, text=True, check=True
    ).stdout
    squawk = Path(sys.executable).with_name("squawk")
    arguments = [str(squawk), "--exclude", ALLOWED, "--stdin-filepath", "migrations.sql"]
    return subprocess.run(arguments, input=sql, text=True, check=False).returncode


if __name__ == "__main__":
    found = too_long()
    for line in found:
        print(line)
    migrations()
    sys.exit(1 if found or locks() else 0)
