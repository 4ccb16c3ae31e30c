"""Upkeep: tomorrow's partitions, yesterday's holders, keys, sessions; contents that no file has."""

import asyncio
import random
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.store import answers, holders, runs, sessions, task_files

EVERY = 3600.0
KEYS_LIVE = timedelta(days=7)


class Janitor:
    def __init__(self, keys_live: timedelta = KEYS_LIVE) -> None:
        self._keys_live = keys_live

    async def work(self, conn: AsyncConnection[Any]) -> None:
        while True:
            await self.tick(conn)
            await asyncio.sleep(EVERY * random.uniform(0.9, 1.1))

    async def tick(self, conn: AsyncConnection[Any]) -> int:
        await conn.execute("select keep_partitions()")
        swept = await task_files.sweep(conn)
        keys = await runs.forget_keys(conn, self._keys_live)
        keys += await answers.forget(conn, self._keys_live)
        return swept + keys + await holders.forget(conn) + await sessions.forget(conn)
