"""How many runs and attempts each hour had: what stays when they themselves are removed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import ids
from scheduler.store import rollups

Conn = AsyncConnection[Any]

HOUR = timedelta(hours=1)
AGAIN = timedelta(hours=6)  # runs that begin in an hour may end in a later one
SETTLED = timedelta(minutes=1)  # after the end of an hour nothing more of it is committed


async def catch_up(conn: Conn, now: datetime | None = None) -> int:
    """Count the hours that are over, and the latest few again; how many hours."""
    now = now or datetime.now(UTC)
    hour = await rollups.next_hour(conn)
    if hour is None:
        return 0
    hour, counted = min(hour, now.replace(minute=0, second=0, microsecond=0) - AGAIN), 0
    while hour + HOUR <= now:
        low, high = ids.not_before(hour), ids.not_after(hour + HOUR)
        await rollups.count(conn, hour, low=low, high=high)
        hour, counted = hour + HOUR, counted + 1
    return counted


async def catch_up_attempts(conn: Conn, now: datetime | None = None) -> int:
    """Count the attempts of hours that are over, each once; how many hours."""
    now = now or datetime.now(UTC)
    hour, counted = await rollups.next_hour_of_attempts(conn), 0
    while hour is not None and hour + HOUR + SETTLED <= now:
        await rollups.count_attempts(conn, hour)
        hour, counted = hour + HOUR, counted + 1
    return counted
