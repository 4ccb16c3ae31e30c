"""What most stories need: a system with a server, a worker on its queue, and somebody who asks.

One of each for the tests of a file, which may have others of its own under the same names.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Browser

from scheduler.services.access import Role
from tests.support import pages
from tests.support.pages import Visitor
from tests.support.postgres import Databases
from tests.support.system import Asking, System, Worker, a_system

Visit = Callable[..., Awaitable[Visitor]]


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


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with pages.chromium() as browser:
        yield browser


@pytest.fixture
async def visit(system: System, chromium: Browser) -> AsyncIterator[Visit]:
    """Somebody of a role, signed in: `operator = await visit(Role.OPERATOR, scripts=False)`.

    What goes wrong before their eyes (an error of a script, a refusal of the policy, a request to
    somebody else) fails the test.
    """
    async with AsyncExitStack() as stack, system.asking() as api:

        async def enter(role: Role | None = Role.ADMIN, **how: Any) -> Visitor:
            someone = await stack.enter_async_context(pages.visitor(chromium, system.url, **how))
            if role is not None:
                wish = {"name": f"the {role} of a browser", "role": role}
                await someone.sign_in((await api.post("/tokens", wish))["token"])
            return someone

        yield enter
