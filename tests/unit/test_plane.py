"""The plane of chores ends when it is told to, whatever goes wrong meanwhile."""

import asyncio
from typing import Any

import pytest

from scheduler.chores.plane import Plane
from scheduler.settings import ChoreSettings

pytestmark = pytest.mark.anyio


class Failing(Plane):
    """Its parts fail when they are cancelled, as connections may that are closed."""

    begun = asyncio.Event()

    async def live(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.fail())

    async def fail(self) -> None:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection is gone")


def no_tools(*_: Any) -> Any:
    raise AssertionError("it ends before it asks for tools")


async def test_a_plane_whose_parts_fail_while_it_is_cancelled_ends() -> None:
    plane = Failing("", ChoreSettings(), {}, no_tools)
    async with asyncio.timeout(20):
        working = asyncio.create_task(plane.work())
        await plane.begun.wait()
        working.cancel()
        await asyncio.wait([working])
    assert working.cancelled()
