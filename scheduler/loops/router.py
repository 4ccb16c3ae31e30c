"""The router: starts what events are to start.

A loop of every server. Any number may run: each takes events that no other has in hand. It sleeps
until an event comes, or until what waits is due.
"""

import random
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.services import routing as service
from scheduler.services.catalog import Catalog
from scheduler.store import events, routing

Conn = AsyncConnection[Any]

BATCH = 500
FORGOTTEN_AT_ONCE = 1_000
LONGEST = 5.0
RETRY_SOON = 0.05  # somebody else has in hand what is due at this moment


class Router:
    def __init__(self, catalog: Catalog, keep: timedelta = timedelta(days=90)) -> None:
        self._catalog = catalog
        self._keep = keep

    async def work(self, conn: Conn) -> None:
        await conn.execute(f"listen {service.CHANNEL}")
        while True:
            if not await self.tick(conn):
                await self._forget(conn)
                await self._sleep(conn, await self._pause(conn))

    async def tick(self, conn: Conn) -> int:
        """Decide on what came and start what is due; how much there was."""
        routed = await service.route_batch(conn, self._catalog, BATCH)
        return routed + await service.start_due(conn, self._catalog, BATCH)

    async def _forget(self, conn: Conn) -> None:
        """A part of what nobody asks for any more, while there is nothing else to do."""
        await routing.forget(conn, FORGOTTEN_AT_ONCE)
        await events.prune(conn, keep=self._keep, limit=FORGOTTEN_AT_ONCE)

    async def _pause(self, conn: Conn) -> float:
        seconds = await routing.next_due(conn)
        longest = LONGEST * random.uniform(0.8, 1.0)
        if seconds is None:
            return longest
        return min(longest, seconds + 0.001 if seconds > 0 else RETRY_SOON)

    async def _sleep(self, conn: Conn, seconds: float) -> None:
        """A word that came while nobody slept is kept, and ends this sleep at once."""
        async for _ in conn.notifies(timeout=seconds, stop_after=1):
            pass
