import pytest

from tests.support.desk import Desk
from tests.support.search import Searching
from tests.support.world import World


@pytest.fixture(scope="module")
def searching(desk: Desk, world: World) -> Searching:
    return Searching(desk, world)
