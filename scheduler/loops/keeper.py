"""Keeps the queue of chores: a loop of every server, never a chore itself, which might stall."""

import asyncio
import random
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.services import upkeep

Conn = AsyncConnection[Any]

EVERY = 2.0


class Keeper:
    def __init__(self, known: Collection[str], silent_after: timedelta, server: str) -> None:
        self._known = known
        self._silent_after = silent_after
        self._server = server

    async def work(self, conn: Conn) -> None:
        """Nobody is judged before all have had the time to speak: the database may have been
        away."""
        begin = time.monotonic() + self._silent_after.total_seconds()
        while True:
            did = await self.tick(conn, judge=time.monotonic() >= begin)
            await asyncio.sleep(0 if did >= upkeep.BATCH else EVERY * random.uniform(0.8, 1.2))

    async def tick(self, conn: Conn, *, judge: bool = True) -> int:
        did = await upkeep.defer_due(conn, self._known)
        if judge:
            did += await upkeep.give_back_stalled(conn, self._silent_after, server=self._server)
        return did + await upkeep.sweep(conn)
