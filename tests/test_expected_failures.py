"""Whatever is expected to fail is told in one line, with the variable to set, and ends with exit code 3."""

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import cli
from tests.conftest import ADMIN_KEY

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """A command in this process that fails: what it said."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    # The streams of a test end with it, and whatever logs in this process later would write to them.
    monkeypatch.setattr("app.web.logs.configure", lambda *_: None)

    def fails(*command: str, code: int = 3, **environment: str) -> str:
        monkeypatch.delenv("DATABASE_URL", raising=False)
        for name, value in {"NINETY_DATA_DIR": str(tmp_path), **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["ninety", *command])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr().err
        assert ended.value.code == code, said
        if code == 3:
            assert said.startswith("ninety: ")
            assert said.count("\n") == 1, said
        return said

    return fails


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield str(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("NINETY_PORT", "http", "valid integer"),
        ("NINETY_PROT", "1", "known are"),
        ("NINETY_LOG_LEVEL", "loud", "'debug', 'info'"),
        ("NINETY_BASE_PATH", "support", "a path such as /support"),
        ("DATABASE_URL", "", "postgresql://user:password@host:5432/database"),
        ("DATABASE_URL", "mysql://h/d", "postgresql://user:password@host:5432/database"),
        ("DATABASE_URL", "postgresql://h:a/d", "postgresql://user:password@host:5432/database"),
        ("DATABASE_URL", "postgresql://u:5@h:70000/d", "postgresql://user:password@host:5432/database"),
        ("DATABASE_URL", "postgresql://[::1/d", "IPv6"),
        ("DATABASE_URL", "postgresql://127.0.0.1:1/d?sslmode=loud", "must be one of: disable"),
    ],
)
def test_a_wrong_setting(run: Run, name: str, value: str, right: str) -> None:
    said = run("migrate", **{name: value})
    assert name in said
    assert right in said
    assert "Value error" not in said


def test_servers_of_several_hosts_are_told_as_they_are_named(run: Run) -> None:
    said = run("migrate", DATABASE_URL="postgresql://u:secret@127.0.0.1:1,[::1]:2,127.0.0.1:3/d")
    assert "127.0.0.1:1,[::1]:2,127.0.0.1:3 does not answer" in said
    assert "secret" not in said


def test_an_option_that_does_not_exist_is_shown_how_to_ask(run: Run) -> None:
    assert "--help" in run("serve", "--prot", code=2)


@pytest.mark.parametrize("key", [{}, {"NINETY_ADMIN_KEY": ADMIN_KEY}])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/ninety"])
def test_a_data_directory_that_cannot_be_written(run: Run, tmp_path: Path, place: str, key: dict[str, str]) -> None:
    (tmp_path / "file").touch()
    assert "NINETY_DATA_DIR" in run("migrate", NINETY_DATA_DIR=str(tmp_path / place), **key)


@pytest.mark.parametrize(("version", "said"), [("12", "made by PostgreSQL 12"), ("", "is no database")])
def test_a_data_directory_of_something_else(run: Run, tmp_path: Path, version: str, said: str) -> None:
    (tmp_path / "cluster").mkdir()
    if version:
        (tmp_path / "cluster/PG_VERSION").write_text(version)
    found = run("migrate")
    assert said in found
    assert "NINETY_DATA_DIR" in found


@pytest.mark.parametrize("name", ["NINETY_PORT", "NINETY_METRICS_PORT"])
def test_a_port_that_is_taken(run: Run, database_url: str, taken: str, name: str) -> None:
    settings = {"NINETY_PORT": "0", "NINETY_WORKER": "false", name: taken}
    assert f"{name}: cannot listen on 127.0.0.1:{taken}" in run("serve", DATABASE_URL=database_url, **settings)


def test_a_port_of_the_worker_that_is_taken(run: Run, database_url: str, taken: str) -> None:
    assert "NINETY_METRICS_PORT: " in run("worker", DATABASE_URL=database_url, NINETY_METRICS_PORT=taken)


@pytest.mark.parametrize("host", ["192.0.2.1", "no host", "x" * 100])
def test_an_address_that_is_not_this_machines(run: Run, database_url: str, host: str) -> None:
    assert "NINETY_HOST" in run("serve", DATABASE_URL=database_url, NINETY_HOST=host, NINETY_PORT="0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--role", "service"], "name them"),
        (["--role", "service", "--scope", "everything"], "not a scope: everything"),
        (["--role", "agent", "--agent-id", "00000000-0000-0000-0000-000000000001"], "agent"),
    ],
)
def test_a_key_that_cannot_be_made(run: Run, database_url: str, options: list[str], said: str) -> None:
    assert said in run("create-key", "x", *options, DATABASE_URL=database_url)
