"""Holders that stopped renewing their lease are gone, and what they had in hand is judged.

A plain loop in every server and worker. Each step is a guarded update, so any number may run;
the advisory lock only saves work.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from executor.base import Ending, Outcome
from scheduler.domain.board import Board
from scheduler.domain.wakes import Wake
from scheduler.loops.pulse import Pulse
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import holders, runs, tasks

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

BATCH = 500
LOCK = 7_301_944_116
AWAY = Outcome(
    ending=Ending.LOST,
    counted=False,
    error="its holder stopped renewing its lease: nobody knows how it ended",
)


class Reaper:
    def __init__(
        self, catalog: Catalog, lease: timedelta, pulse: Pulse, say: Callable[[Wake], None]
    ) -> None:
        self._catalog = catalog
        self._lease = lease
        self._pulse = pulse
        self._say = say

    async def work(self, conn: Conn) -> None:
        pause = min(4.0, self._lease.total_seconds() / 6)
        while True:
            if not await self.tick(conn):
                await self._pulse.wait(pause)

    async def tick(self, conn: Conn) -> int:
        """Declare gone who is late, and take from the gone; how many tasks were taken."""
        async with conn.transaction():
            cursor = await conn.execute("select pg_try_advisory_xact_lock(%s)", [LOCK])
            if not (await cursor.fetchone() or (False,))[0]:
                return 0
            for row in await holders.expire(conn, self._lease):
                log.warning("holder gone", extra={"holder": row["id"], "holder_name": row["name"]})
        return await self.take_back(conn, await tasks.gone_holders(conn))

    async def take_back(self, conn: Conn, gone: list[int]) -> int:
        if not gone:
            return 0
        rows = await tasks.of_holders(conn, gone, BATCH)
        by_run: dict[UUID, list[Any]] = {}
        for row in rows:
            by_run.setdefault(row["run_id"], []).append(row)

        def decide(board: Board) -> None:
            for row in by_run[board.run.id]:
                board.record(row["id"], row["attempt"], row["holder"], AWAY)

        async with conn.transaction():
            free = await runs.lock_free(conn, sorted(by_run))
            wake = await judge(conn, self._catalog, free, decide, by="reaper")
        self._say(wake)
        return len(free)
