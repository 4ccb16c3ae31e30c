"""Two connections, forced into one order: wait until the other one waits for a lock."""

import asyncio
from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[Any]

WAITS = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"


async def until_it_waits(watcher: Conn, waiting: Conn, *, within: float = 20.0) -> None:
    """`waiting` is held up by a lock; `watcher` is a third connection, or it would not see it."""
    async with asyncio.timeout(within):
        while True:
            cursor = await watcher.execute(WAITS, [waiting.info.backend_pid])
            if (await cursor.fetchone() or (0,))[0]:
                return
            await asyncio.sleep(0.005)
