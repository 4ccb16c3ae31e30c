"""Chores: work about processes, done by whichever server takes it, once in effect.

A chore is deferred in the transaction that makes it needed: it is there if and only if that
commits. It may be carried out more than once, so each one goes in batches that are guarded by what
they change.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from scheduler.domain.errors import Conflict, NotFound
from scheduler.store import chores
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

TRIES = 20
AT_ONCE = 500  # that are retried in one transaction
SERVER = "api"


async def defer(
    conn: Conn,
    chore: str,
    args: Mapping[str, Any] | None = None,
    *,
    lock: str | None = None,
    at: datetime | None = None,
    priority: int = 0,
) -> int:
    """The id of a job that begins after the caller's commit. Of those with the same `lock` at most
    one waits: it stands for all, and sees what each of those who left it there has committed.

    The clash of two who defer at once is kept in a savepoint: it costs nobody a transaction.
    """
    if lock is None:
        return await chores.defer(conn, chore, args or {}, lock=None, at=at, priority=priority)
    for _ in range(TRIES):
        async with conn.transaction():
            if (waiting := await chores.share(conn, lock)) is not None:
                return waiting
        try:
            async with conn.transaction():
                return await chores.defer(
                    conn, chore, args or {}, lock=lock, at=at, priority=priority
                )
        except UniqueViolation:
            continue
    raise Conflict(f"{chore} was put off and taken up too often at once: try again")


async def get(conn: Conn, job: int) -> Row:
    found = await chores.page(conn, id=job)
    if not found:
        raise NotFound(
            f"there is no chore {job}, or it is done",
            remedy="what became of it stands in the history of chores",
        )
    return found[0]


async def run_now(conn: Conn, job: int) -> Row:
    """Whatever time it was put off to."""
    async with conn.transaction():
        if not await chores.run_now(conn, job):
            found = await get(conn, job)
            raise Conflict(f"chore {job} is {found['status']}, so it doesn't wait for a time")
        await chores.wake(conn)
        return await get(conn, job)  # before it can begin, and so end and be gone


async def retry(conn: Conn, job: int) -> Row:
    async with conn.transaction():
        if not await take_up(conn, job):
            found = await get(conn, job)
            raise Conflict(f"chore {job} is {found['status']}: only what failed can be retried")
        await chores.wake(conn)
        return await get(conn, job)


async def take_up(conn: Conn, job: int) -> bool:
    """One for which another waits already is as good as done."""
    try:
        async with conn.transaction():
            return await chores.retry(conn, job)
    except UniqueViolation:
        await chores.merge(conn, job, server=SERVER)
        raise Conflict(f"another one waits that does the same as chore {job}") from None


async def retry_all(conn: Conn, chore: str) -> int:
    """How many failed ones of a kind wait again."""
    done = 0
    while True:
        async with conn.transaction():
            found = await chores.failed(conn, chore, AT_ONCE)
            done += await take_up_all(conn, found)
            await chores.wake(conn)
        if len(found) < AT_ONCE:
            return done


async def take_up_all(conn: Conn, jobs: Sequence[int]) -> int:
    done = 0
    for job in jobs:
        try:
            done += await take_up(conn, job)
        except Conflict:
            continue
    return done


async def delete(conn: Conn, job: int, *, by: str) -> None:
    if not await chores.delete(conn, job, by=f"deleted by {by}"):
        found = await get(conn, job)
        raise Conflict(
            f"chore {job} is {found['status']}", remedy="wait until it ended, then delete it"
        )
