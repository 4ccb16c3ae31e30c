"""What most stories need: a system with a server, a worker on its queue, and somebody who asks.

One of each for the tests of a file, which may have others of its own under the same names.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.postgres import Databases
from tests.support.system import Asking, System, Worker, a_system


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(databases, tmp_path_factory.mktemp("system")) as system:
        yield system


@pytest.fixture(scope="module")
async def worker(system: System) -> AsyncIterator[Worker]:
    async with system.worker("default") as worker:
        yield worker


@pytest.fixture
async def api(system: System, worker: Worker) -> AsyncIterator[Asking]:
    async with system.asking() as api:
        yield api
