"""What nobody says, and time brings: offers that nobody answered, attempts that are lost.

A loop of every server. Each step locks the workstation's row and looks again, so any number may
run; an advisory lock only saves work.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from psycopg import AsyncConnection

from edge import desk
from edge.desk import Hand, Lost, Stage
from edge.gateway import recording, stocking
from edge.gateway.frames import key_of
from edge.gateway.recording import Closing
from scheduler.domain.wakes import Wake
from scheduler.loops.pulse import Pulse
from scheduler.services.catalog import Catalog
from scheduler.store import workstations
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

EVERY = 2.0
BATCH = 200
LOCK = 7_301_944_131
LOST_AFTER = timedelta(hours=24)  # where nothing else was agreed
STOPPED_AFTER = timedelta(minutes=2)  # what its agent stops when it is alone is over by then
SETTLED_AFTER = timedelta(minutes=5)  # servers and the database were away: all come back first
SAFE_AFTER = timedelta(minutes=10)


class Watch:
    def __init__(
        self,
        catalog: Catalog,
        say: Callable[[Wake], None],
        *,
        patience: timedelta = timedelta(seconds=10),
        settled: timedelta = SETTLED_AFTER,
        pulse: Pulse | None = None,
    ) -> None:
        self._catalog, self._say, self._patience = catalog, say, patience
        self._settled, self._begun = settled, time.monotonic()
        self._pulse = pulse or Pulse()
        self._stocked = ""

    async def work(self, conn: Conn) -> None:
        while True:
            if not await self.tick(conn):
                await self._pulse.wait(EVERY * random.uniform(0.8, 1.2))

    async def tick(self, conn: Conn) -> int:
        """How many attempts were taken back or given up."""
        if not await self._is_ours(conn):
            return 0
        try:
            taken = sum([await self._take_back(conn, each) for each in await self._overdue(conn)])
            given_up = await self._give_up(conn)
            await workstations.end_sightings(conn, workstations.SILENCE, BATCH)
            await workstations.settle(conn, SAFE_AFTER, BATCH)
            await workstations.expire_commands(conn, BATCH)
            await self._stock(conn)
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", [LOCK])
        return taken + given_up

    async def _is_ours(self, conn: Conn) -> bool:
        cursor = await conn.execute("select pg_try_advisory_lock(%s)", [LOCK])
        return bool((await cursor.fetchone() or (False,))[0])

    async def _stock(self, conn: Conn) -> None:
        """Whoever is connected is told now: one that has nothing to do says nothing for long."""
        self._stocked, changed = await stocking.refresh(conn, self._stocked)
        self._say(Wake(people={f"workstation:{id}" for id in changed}))

    # Offers

    async def _overdue(self, conn: Conn) -> list[int]:
        return await workstations.overdue(conn, self._patience, BATCH)

    async def _take_back(self, conn: Conn, workstation: int) -> int:
        """It costs the task nothing; if the word comes after all, it is told to forget it."""
        wake = Wake()
        async with conn.transaction():
            row = await workstations.lock(conn, workstation)
            if row is None:
                return 0
            runs, hands = {}, []
            for each in await workstations.hands(conn, workstation):
                hand = hand_of(each)
                runs[hand.attempt] = each["run_id"]
                hands.append(hand)
            overdue = desk.overdue(hands, time.time(), self._patience.total_seconds())
            closings = [Closing(runs[each.attempt], key_of(each.attempt), each) for each in overdue]
            wake = await self._close(conn, row, closings)
        self._say(wake)
        return len(closings)

    # Losses

    async def _give_up(self, conn: Conn) -> int:
        """While nobody could be heard here, nobody fell silent."""
        if time.monotonic() - self._begun < self._settled.total_seconds():
            return 0
        rows = await workstations.lost(
            conn, usual=LOST_AFTER, stopped=STOPPED_AFTER, settled=self._settled, limit=BATCH
        )
        for workstation, lost in groupby(rows, key=lambda row: row["workstation"]):
            await self._give_up_of(conn, workstation, list(lost))
        return len(rows)

    async def _give_up_of(self, conn: Conn, workstation: int, lost: Sequence[Row]) -> None:
        async with conn.transaction():
            row = await workstations.lock(conn, workstation)
            if row is None or row["heard_at"] != lost[0]["heard_at"]:
                return  # it is there again
            running = {
                hand_of(each).attempt for each in await workstations.hands(conn, workstation)
            }
            why = f"nothing was heard of {row['name']} since {row['heard_at']:%Y-%m-%d %H:%M:%S %Z}"
            closings = [
                Closing(
                    each["run_id"], (each["task_id"], each["attempt"]), Lost(name_of(each), why)
                )
                for each in lost
                if name_of(each) in running
            ]
            wake = await self._close(conn, row, closings)
        log.warning(
            "attempts given up", extra={"workstation": row["name"], "attempts": len(closings)}
        )
        self._say(wake)

    async def _close(self, conn: Conn, row: Row, closings: Sequence[Closing]) -> Wake:
        if not closings:
            return Wake()
        over = [(each.key, None, getattr(each.verdict, "why", "")) for each in closings]
        await workstations.close(conn, row["id"], over)
        return await recording.record(conn, self._catalog, row["holder"], row["name"], closings)


def hand_of(row: Row) -> Hand:
    return Hand(name_of(row), Stage(row["stage"].lower()), row["since"], row["logged"])


def name_of(row: Row) -> str:
    return f"{row['task_id']}.{row['attempt']}"
