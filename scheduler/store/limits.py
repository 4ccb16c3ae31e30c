"""Places under limits. One function for each statement in sql/queries/limits.sql."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

LIMITS = statements("limits")
Conn = AsyncConnection[Any]


async def ensure(
    conn: Conn, sizes: Mapping[str, int], windows: Mapping[str, timedelta] | None = None
) -> None:
    """`windows` says of which keys a place is used up for a while, not held."""
    per = [(windows or {}).get(key) for key in sizes]
    await execute(conn, LIMITS["ensure"], keys=list(sizes), sizes=list(sizes.values()), per=per)


async def trim(conn: Conn, sizes: Mapping[str, int]) -> None:
    await execute(conn, LIMITS["trim"], keys=list(sizes), sizes=list(sizes.values()))


async def remove_spent(conn: Conn, keys: Sequence[str]) -> None:
    if keys:
        await execute(conn, LIMITS["remove_spent"], keys=list(keys))


async def remove(conn: Conn, key: str) -> None:
    await execute(conn, LIMITS["remove"], key=key)


async def take(conn: Conn, task: int, keys: Sequence[str]) -> str | None:
    """Take a place under every key, or none: then the key that had no free one comes back."""
    if not keys:
        return None
    row = await fetch_row(conn, LIMITS["take"], task=task, keys=list(keys))
    if row is None or len(row["taken"]) == len(keys):
        return None
    return next((key for key in keys if key not in row["free"]), keys[0])


async def release(conn: Conn, tasks: Sequence[int]) -> list[str]:
    return await fetch_column(conn, LIMITS["release"], tasks=list(tasks))


async def admit(conn: Conn, task: int, keys: Sequence[str]) -> str | None:
    """The queue that the task is now READY in, or None if it no longer waits for a place."""
    queues = await fetch_column(conn, LIMITS["admit"], task=task, keys=list(keys))
    return queues[0] if queues else None


async def begin_run(conn: Conn, run: UUID) -> None:
    await execute(conn, LIMITS["begin_run"], run=run)


async def block(conn: Conn, tasks: Sequence[int], key: str) -> None:
    await execute(conn, LIMITS["block"], tasks=list(tasks), key=key)


async def candidates(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, LIMITS["candidates"], limit=limit)


async def enter(conn: Conn, run: UUID, key: str) -> bool:
    """True if the run has its place in the group now."""
    return bool(await fetch_column(conn, LIMITS["enter"], run=run, key=key))


async def members(conn: Conn, key: str) -> list[UUID]:
    return await fetch_column(conn, LIMITS["members"], key=key)


async def next_free(conn: Conn) -> float | None:
    seconds: float | None = await fetch_value(conn, LIMITS["next_free"])
    return seconds


async def usage(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, LIMITS["usage"])


async def unblock(conn: Conn, key: str) -> None:
    await execute(conn, LIMITS["unblock"], key=key)
