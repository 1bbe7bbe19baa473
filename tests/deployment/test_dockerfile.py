"""The Dockerfiles, by hadolint."""

import subprocess
from pathlib import Path

import pytest

_HADOLINT = Path(__file__).parent / ".venv/bin/hadolint"


@pytest.mark.skipif(not _HADOLINT.exists(), reason="needs make deployment")
@pytest.mark.parametrize("file", ["Dockerfile", "deploy/compose/ha/Dockerfile"])
def test_a_dockerfile_is_clean(file: str) -> None:
    dockerfile = Path(__file__).parents[2] / file
    ran = subprocess.run([str(_HADOLINT), str(dockerfile)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
