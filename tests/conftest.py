import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from psycopg import AsyncConnection

from scheduler.store.migrations import migrate
from tests.support.postgres import (
    Cluster,
    Databases,
    binaries_of,
    chosen_version,
    folder_of_server,
    session_databases,
)


def pytest_configure() -> None:
    """In the background of a script interrupts are ignored, also by all that tests would start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A server for the whole session, with a migrated template in it."""
    with session_databases() as databases:
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
async def cluster() -> AsyncIterator[Cluster]:
    """A server of this test's own, with a migrated database: `cluster.dsn`."""
    with folder_of_server() as folder:
        cluster = Cluster(folder, binaries_of(chosen_version()))
        await cluster.start()
        await migrate(cluster.dsn)
        yield cluster
        await cluster.stop()
