"""What waits for a time or for a place goes on when it has come.

Sleeps until the earliest due time, so that one second of delay takes one second. Several may
run: runs are taken with SKIP LOCKED, each step is guarded, and who finds nothing sleeps.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.board import Board
from scheduler.domain.wakes import Wake
from scheduler.loops.pulse import Pulse
from scheduler.services import errands as service
from scheduler.services.catalog import Catalog
from scheduler.services.judging import Decide, admit, judge, queue_keys, without_queue
from scheduler.store import errands, limits, placements, queues, runs, tasks
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

BATCH = 500
PLACED_AT_ONCE = 50  # one by one, while their runs are locked
LONGEST = 5.0
GROUP = "group:"
MOVING = ("PENDING", "IN_PROGRESS", "STOPPING", "COMPENSATING")  # undos and hooks have limits too
RETRY_SOON = 0.05  # somebody else has the run locked at this moment


class Promoter:
    def __init__(self, catalog: Catalog, pulse: Pulse, say: Callable[[Wake], None]) -> None:
        self._catalog = catalog
        self._pulse = pulse
        self._say = say
        self._skipped = False  # somebody else had a run locked that we should have looked at

    async def work(self, conn: Conn) -> None:
        while True:
            if not await self.tick(conn):
                await self._pulse.wait(await self._pause(conn))

    async def tick(self, conn: Conn) -> int:
        """Move on what is due; how many runs or tasks were moved."""
        moved = await self._promote(conn)
        moved += await self._expire(conn)
        moved += await self._withdraw(conn)
        moved += await self._run_errands(conn)
        return moved + await self._place(conn)

    async def _pause(self, conn: Conn) -> float:
        seconds = await self._next(conn)
        longest = RETRY_SOON if self._skipped else LONGEST * random.uniform(0.8, 1.0)
        if seconds is None:
            return longest
        return min(longest, max(seconds + 0.001, RETRY_SOON if seconds <= 0 else 0.0))

    async def _next(self, conn: Conn) -> float | None:
        moments = [
            await tasks.next_due(conn),
            await limits.next_free(conn),
            await placements.next_too_late(conn),
        ]
        return min((each for each in moments if each is not None), default=None)

    async def _promote(self, conn: Conn) -> int:
        due = await tasks.due_runs(conn, BATCH)
        if not due:
            return 0
        async with conn.transaction():
            free = await runs.lock_free(conn, due)
            readied = await tasks.promote(conn, free)
        wake = Wake()
        wake.add(runs=free, queues=readied)
        self._say(wake)
        await self._judge_rest(conn)
        return len(free)

    async def _judge_rest(self, conn: Conn) -> None:
        """What is due and not simply READY now: settling, limits, runs that are held."""
        await self._judge(conn, await tasks.due_runs(conn, BATCH), Board.wake)

    async def _expire(self, conn: Conn) -> int:
        return await self._judge(conn, await runs.overdue(conn, BATCH), Board.expire)

    async def _withdraw(self, conn: Conn) -> int:
        """What no workstation has begun in time."""
        return await self._judge(conn, await placements.too_late(conn, BATCH), Board.too_late)

    async def _judge(self, conn: Conn, due: Sequence[UUID], decide: Decide) -> int:
        """Of these, those that nobody else has locked."""
        if not due:
            return 0
        async with conn.transaction():
            free = await runs.lock_free(conn, due)
            wake = await judge(conn, self._catalog, free, decide, by="promoter")
        self._say(wake)
        return len(free)

    async def _run_errands(self, conn: Conn) -> int:
        """Do what was asked of runs that whoever asked had not locked."""
        asked = await errands.runs(conn, BATCH)
        if not asked:
            return 0
        async with conn.transaction():
            free = await runs.lock_free(conn, asked)
            taken = await errands.take(conn, free)
            answers = await service.answers(conn, taken)

            def decide(board: Board) -> None:
                service.tell(board, answers)

            wake = await judge(conn, self._catalog, sorted(answers), decide, by="promoter")
        self._say(wake)
        return len(answers)

    async def _place(self, conn: Conn) -> int:
        """Give free places under limits to those that wait for them."""
        waiting = await limits.candidates(conn, PLACED_AT_ONCE)
        self._skipped = False
        if not waiting:
            return 0
        wake = Wake()
        async with conn.transaction():
            wished = {row["run_id"] for row in waiting}
            free = set(await runs.lock_free(conn, sorted(wished)))
            self._skipped = free != wished
            limited = (await queues.moment(conn)).limited
            living = await self._in_progress(conn, free)
            ours = [row for row in waiting if row["run_id"] in living]
            entered = await self._enter_groups(conn, ours)
            wake.merge(await judge(conn, self._catalog, entered, Board.admit, by="promoter"))
            ours = [row for row in ours if not in_group(row)]
            await tasks.lock(conn, [row["id"] for row in ours])
            for row in ours:
                keys = [*without_queue(row["limit_keys"]), *queue_keys(row["queue"], limited)]
                await admit(conn, row["id"], row["run_id"], keys, wake)
        self._say(wake)
        return len(wake.queues)

    async def _enter_groups(self, conn: Conn, rows: Sequence[Row]) -> list[UUID]:
        """The runs that found a place in their group, the oldest first."""
        wanted = {row["run_id"]: row["blocked_on"] for row in rows if in_group(row)}
        return [run for run, key in sorted(wanted.items()) if await limits.enter(conn, run, key)]

    async def _in_progress(self, conn: Conn, free: set[Any]) -> set[Any]:
        rows = await runs.states(conn, sorted(free))
        return {row["id"] for row in rows if row["state"] in MOVING}


def in_group(row: Row) -> bool:
    """It waits for its run to find a place, before it looks for places of its own."""
    return (row["blocked_on"] or "").startswith(GROUP)
