"""The Dockerfile, by hadolint."""

import subprocess
from pathlib import Path

import pytest

_HADOLINT = Path(__file__).parent / ".venv/bin/hadolint"


@pytest.mark.skipif(not _HADOLINT.exists(), reason="needs make deployment")
def test_the_dockerfile_is_clean() -> None:
    dockerfile = Path(__file__).parents[2] / "Dockerfile"
    ran = subprocess.run([str(_HADOLINT), str(dockerfile)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
