from collections.abc import AsyncIterator, Iterator

import pytest
from psycopg import AsyncConnection

from scheduler.store.migrations import migrate
from tests.support.postgres import (
    Cluster,
    Databases,
    binaries_of,
    chosen_version,
    session_databases,
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A server for the whole session, with a migrated template in it."""
    with session_databases(tmp_path_factory.mktemp("pg")) as databases:
        databases.make_template()
        yield databases


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    """The owner's conninfo of a fresh, migrated database."""
    with databases.cloned() as dsn:
        yield dsn


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(dsn) as conn:
        yield conn


@pytest.fixture
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A server of this test's own, with a migrated database: `cluster.dsn`."""
    cluster = Cluster(tmp_path_factory.mktemp("own"), binaries_of(chosen_version()))
    await cluster.start()
    await migrate(cluster.dsn)
    yield cluster
    await cluster.stop()
