"""Waiting on a condition, never for a time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | None], *, within: float = 30.0) -> T:
    """What `condition` answers once that is something; a test that waits in vain fails here."""
    async with asyncio.timeout(within):
        while True:
            if found := condition():
                return found
            await asyncio.sleep(0.01)
