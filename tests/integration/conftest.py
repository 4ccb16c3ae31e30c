"""What tests with a server in this process share."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tests.support.postgres import Databases

if TYPE_CHECKING:
    from tests.support.gateways import Served


@pytest.fixture(scope="module")
async def served(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator["Served"]:
    """One for all tests of a module: each has workstations and types of its own."""
    from tests.support.gateways import a_server

    with databases.cloned() as dsn:
        async with a_server(dsn, tmp_path_factory.mktemp("server")) as served:
            yield served
