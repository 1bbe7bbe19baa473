import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import __version__
from app.cli import cli
from app.commands import told_key
from tests.conftest import ADMIN_KEY


def test_the_admin_key_is_printed_at_the_first_start_and_never_again() -> None:
    file = Path("var/admin.key")
    assert told_key("nty_secret", file, first_start=True) == "nty_secret (kept in var/admin.key)"
    assert told_key("nty_secret", file, first_start=False) == "kept in var/admin.key"
    assert "nty_secret" not in told_key("nty_secret", None, first_start=True)


def test_the_version_is_told() -> None:
    found = CliRunner().invoke(cli, ["--version"])
    assert (found.exit_code, found.output) == (0, f"ninety {__version__}\n")


def test_help_imports_nothing_of_the_service() -> None:
    code = """
import sys
import pytest
from typer.testing import CliRunner
from app.cli import cli
assert "create-key" in CliRunner().invoke(cli, ["--help"]).output
print(*sorted({"fastapi", "sqlalchemy", "pydantic", "asyncpg"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_the_service_quietly(database_url: str, tmp_path: Path, workers: str) -> None:
    environment = {
        **os.environ, "DATABASE_URL": database_url, "NINETY_ADMIN_KEY": ADMIN_KEY, "NINETY_PORT": "0",
        "NINETY_DATA_DIR": str(tmp_path), "NINETY_WORKERS": workers, "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "app", "serve"]
    with subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as found:
        assert found.stdout
        assert found.stdout.readline().startswith("Ninety is ready")
        found.send_signal(signal.SIGINT)
        _, said = found.communicate(timeout=60)
    assert found.returncode == 0
    assert "Traceback" not in said
