"""Directories. Every test ends with a look for processes that were left behind."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded_postgres.harness import cleaned, end, quick


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Where nothing is yet."""
    # pytest's own tmp_path has a closed parent, which is a case of its own here; and its name may be too long.
    parent = Path(tempfile.mkdtemp(prefix="ninety-test-"))
    parent.chmod(0o711)
    yield from cleaned(parent, parent / "data")


@pytest.fixture(scope="session")
def session_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="ninety-test-"))
    parent.chmod(0o711)
    try:
        with quick(parent / "data"):
            pass
        yield parent / "data"
    finally:
        shutil.rmtree(parent)


@pytest.fixture
def made_dir(session_dir: Path) -> Iterator[Path]:
    """Where a cluster is: one for all, as making one costs a second. Tests leave it stopped and whole."""
    yield session_dir
    end(session_dir)


@pytest.fixture
def closed_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="ninety-test-"))  # 0700
    yield from cleaned(parent, parent / "data")
