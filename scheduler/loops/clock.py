"""The clock: starts what schedules say, when they say it.

A loop of every server. Any number may run: each takes what no other has locked, and time is the
database's alone. It sleeps until the next tick is due, or until somebody changes a schedule.
"""

import random
from typing import Any

from psycopg import AsyncConnection

from scheduler.services import backfills, firing
from scheduler.services.catalog import Catalog
from scheduler.services.ticking import CHANNEL
from scheduler.store import schedules

Conn = AsyncConnection[Any]

BATCH = 50
LONGEST = 5.0
WHILE_ONE_WAITS = 1.0  # for the end of a run, which nobody tells the clock
RETRY_SOON = 0.05  # somebody else has locked what is due at this moment


class Clock:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def work(self, conn: Conn) -> None:
        await conn.execute(f"listen {CHANNEL}")
        while True:
            if not await self.tick(conn):
                await self._sleep(conn, await self._pause(conn))

    async def tick(self, conn: Conn) -> int:
        """Start what is due; how many schedules and backfills were moved on."""
        moved = await firing.fire_due(conn, self._catalog, BATCH)
        moved += await backfills.step(conn, self._catalog)
        if await schedules.is_any_waiting(conn):
            moved += await firing.stop_replaced(conn, self._catalog, BATCH)
            moved += await firing.start_waiting(conn, self._catalog, BATCH)
        return moved

    async def _pause(self, conn: Conn) -> float:
        seconds = await schedules.next_due(conn)
        waiting = await schedules.is_any_waiting(conn)
        longest = WHILE_ONE_WAITS if waiting else LONGEST * random.uniform(0.8, 1.0)
        if seconds is None:
            return longest
        return min(longest, seconds + 0.001 if seconds > 0 else RETRY_SOON)

    async def _sleep(self, conn: Conn, seconds: float) -> None:
        """A word that came while nobody slept is kept, and ends this sleep at once."""
        async for _ in conn.notifies(timeout=seconds, stop_after=1):
            pass
