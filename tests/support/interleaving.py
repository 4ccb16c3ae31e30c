"""Two connections, forced into one order: wait until one of them waits for a lock."""

import asyncio
from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[Any]

WAITS = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"


async def until_it_waits(dsn: str, waiting: Conn, *, within: float = 20.0) -> None:
    """Seen by the owner: `app` is not shown what others wait for."""
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as watcher,
        asyncio.timeout(within),
    ):
        while True:
            cursor = await watcher.execute(WAITS, [waiting.info.backend_pid])
            if (await cursor.fetchone() or (0,))[0]:
                return
            await asyncio.sleep(0.005)
