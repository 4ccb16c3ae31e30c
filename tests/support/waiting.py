"""Waiting on a condition, never for a time."""

import asyncio
import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
MOST = 4.0  # times; whoever waits for ever is to be told apart from who waits long


def patience(seconds: float) -> float:
    """So long where nobody else wants the processors, and longer by as much as others do."""
    wanted = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(max(1.0, wanted), MOST)


async def until(condition: Callable[[], T | None], *, within: float = 30.0) -> T:
    """What `condition` answers once that is something; a test that waits in vain fails here."""
    async with asyncio.timeout(patience(within)):
        while True:
            if found := condition():
                return found
            await asyncio.sleep(0.01)
