"""What no worker says, and time brings: actions whose timeout is over.

A loop of every server. Each step is guarded, so any number may run; an advisory lock only saves
work.
"""

import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from edge.remote import outcomes
from scheduler.domain.board import Board
from scheduler.domain.wakes import Wake
from scheduler.loops.pulse import Pulse
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import remote, runs

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

EVERY = 2.0
BATCH = 200
LOCK = 7_301_944_138
SLACK = timedelta(seconds=10)  # for the handler to end, and for the worker to say so


class Watch:
    def __init__(
        self, catalog: Catalog, say: Callable[[Wake], None], *, slack: timedelta = SLACK
    ) -> None:
        self._catalog, self._say, self._slack = catalog, say, slack
        self._pulse = Pulse()

    async def work(self, conn: Conn) -> None:
        while True:
            if not await self.tick(conn):
                await self._pulse.wait(EVERY * random.uniform(0.8, 1.2))

    async def tick(self, conn: Conn) -> int:
        """How many attempts were over."""
        async with conn.transaction():
            cursor = await conn.execute("select pg_try_advisory_xact_lock(%s)", [LOCK])
            if not (await cursor.fetchone() or (False,))[0]:
                return 0
            rows = await remote.overdue(conn, self._slack, BATCH)
            by_run: dict[UUID, list[Any]] = {}
            for row in rows:
                by_run.setdefault(row["run_id"], []).append(row)

            def decide(board: Board) -> None:
                for row in by_run[board.run.id]:
                    outcome = outcomes.timed_out(row["seconds"])
                    board.record(row["id"], row["attempt"], row["holder"], outcome)

            free = await runs.lock_free(conn, sorted(by_run))
            wake = await judge(conn, self._catalog, free, decide, by="timeouts of workers")
        if free:
            log.warning("actions timed out", extra={"runs": len(free)})
        self._say(wake)
        return len(free)
