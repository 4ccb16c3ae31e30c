"""What no worker says, and time brings: attempts whose timeout is over, or that were to be over.

A loop of every server. Each step is guarded, so any number may run; an advisory lock only saves
work.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from edge.remote import outcomes
from edge.remote.wishes import Wish, Wishes
from executor.base import Outcome
from scheduler.domain.board import Board
from scheduler.domain.wakes import Wake
from scheduler.loops.pulse import Pulse
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import remote, runs
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

EVERY = 2.0
BATCH = 200
LOCK = 7_301_944_138
SLACK = timedelta(seconds=10)  # for the handler to end, and for the worker to say so


@dataclass(frozen=True, slots=True)
class Over:
    """An attempt, and what is made of it."""

    run: UUID
    task: int
    attempt: int
    holder: int
    outcome: Outcome


class Watch:
    """`beat`: seconds between two signs of life of workers."""

    def __init__(
        self,
        catalog: Catalog,
        say: Callable[[Wake], None],
        *,
        beat: timedelta,
        slack: timedelta = SLACK,
    ) -> None:
        self._catalog, self._say, self._slack = catalog, say, slack
        self._wishes = Wishes(beat.total_seconds())
        self._pulse = Pulse()

    async def work(self, conn: Conn) -> None:
        while True:
            if not await self.tick(conn):
                await self._pulse.wait(EVERY * random.uniform(0.8, 1.2))

    async def tick(self, conn: Conn) -> int:
        """In how many runs attempts were over."""
        async with conn.transaction():
            cursor = await conn.execute("select pg_try_advisory_xact_lock(%s)", [LOCK])
            if not (await cursor.fetchone() or (False,))[0]:
                return 0
            over = [*await self._overdue(conn), *await self._unheard(conn)][:BATCH]
            by_run: dict[UUID, list[Over]] = {}
            for each in over:
                by_run.setdefault(each.run, []).append(each)

            def decide(board: Board) -> None:
                for each in by_run[board.run.id]:
                    board.record(each.task, each.attempt, each.holder, each.outcome)

            free = await runs.lock_free(conn, sorted(by_run))
            wake = await judge(conn, self._catalog, free, decide, by="watch of workers")
        if free:
            log.warning("attempts of workers ended here", extra={"runs": len(free)})
        self._say(wake)
        return len(free)

    async def _overdue(self, conn: Conn) -> list[Over]:
        return [
            over(row, outcomes.timed_out(row["seconds"]))
            for row in await remote.overdue(conn, self._slack, BATCH)
        ]

    async def _unheard(self, conn: Conn) -> list[Over]:
        """What was to be over, and its worker does not say that it is."""
        rows = {wish(row): row for row in await remote.wanted(conn)}
        late = self._wishes.overdue(rows, time.monotonic())
        return [
            over(row, outcomes.given_up(each.within or 0))
            for each, row in rows.items()
            if each in late
        ]


def wish(row: Row) -> Wish:
    return Wish(row["id"], row["attempt"], row["wanted"], row["grace"])


def over(row: Row, outcome: Outcome) -> Over:
    return Over(row["run_id"], row["id"], row["attempt"], row["holder"], outcome)
