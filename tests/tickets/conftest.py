from collections.abc import AsyncIterator

import pytest

from tests.auth.world import World, a_world
from tests.tickets.desk import Desk, a_desk


@pytest.fixture(scope="module")
async def world(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(server_url, template, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
async def desk(world: World) -> Desk:
    """Shared by the tests of a module: each works on tickets of its own."""
    return await a_desk(world)
