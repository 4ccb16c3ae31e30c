"""What needs somebody, counted for every page: looked up once for all where it is not cheap."""

import asyncio
from datetime import datetime
from typing import Any

from fastapi import Request
from psycopg import AsyncConnection

from scheduler.api.state import server_of
from scheduler.store import dashboard, frame, queues
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

FRESH = 15.0  # seconds that the number of late runs is good for
LOOKED_AT = 100
LATEST = 60  # runs of a type whose times say what is usual


class Lateness:
    """How many runs go on for longer than is usual, among the latest hundred that go on."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, int]] = {}

    async def look(self, conn: Conn, server: object) -> int:
        time = asyncio.get_running_loop().time()
        at, count = self._known.get(id(server), (-FRESH, 0))
        if time - at < FRESH:
            return count
        self._known = {id(server): (time, count)}  # who asks meanwhile takes what was known
        living = await dashboard.living(conn, LOOKED_AT)
        count = await count_late(conn, living) if living else 0
        self._known = {id(server): (time, count)}
        return count

    def forget(self) -> None:
        self._known.clear()


LATENESS = Lateness()


async def needs(request: Request, conn: Conn) -> dict[str, Any]:
    return {
        **await frame.needs(conn),
        "late": await LATENESS.look(conn, server_of(request)),
    }


async def count_late(conn: Conn, living: list[Row]) -> int:
    usual = await dashboard.usual(conn, sorted({row["type"] for row in living}), LATEST)
    now = (await queues.moment(conn)).now
    return sum(is_late({**row, "finished_at": None}, usual, now) for row in living)


def is_late(run: Row, usual: dict[str, float], now: datetime) -> bool:
    """Whether a run goes on for longer than those of its type do."""
    typical, since = usual.get(run["type"]), run["started_at"]
    if typical is None or since is None or run["finished_at"] is not None:
        return False
    return bool((now - since).total_seconds() > max(1.5 * typical, typical + 2))
