from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.auth.jwks import Jwks, http_client
from tests.conftest import Databases
from tests.support.identity_provider import Clock, Provider, started
from tests.support.world import World, a_world


@pytest.fixture(scope="module")
async def world(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Shared by the tests of a module, which ask it many questions and leave nothing that another one stumbles over."""
    async with a_world(databases, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider.running() as made:
        yield made


@pytest.fixture
async def trusting(provider: Provider, database_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """A service that takes the provider's tokens."""
    async with started(database_url, tmp_path, jwt_jwks_url=provider.url) as application:
        yield application


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(provider: Provider, clock: Clock) -> AsyncIterator[Jwks]:
    async with http_client() as http:
        made = Jwks(provider.url, http, clock)
        yield made
        await made.close()
