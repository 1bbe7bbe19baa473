from collections.abc import AsyncIterator

import pytest

from tests.auth.world import World, a_world


@pytest.fixture(scope="module")
async def world(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Shared by the tests of a module: each works on customers of its own."""
    async with a_world(server_url, template, tmp_path_factory.mktemp("world")) as made:
        yield made
