"""Upkeep of chores: what nobody does any more is given back, what ended is swept away, and what
recurs is deferred when it is due."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from scheduler.services.chores import defer
from scheduler.store import chores

Conn = AsyncConnection[Any]

MOST = 5  # attempts that may end with their server before a chore counts as the cause
BATCH = 100
LIFE = timedelta(days=14)
LIFE_OF_FAILED = timedelta(days=90)


async def plan(conn: Conn, every: Mapping[str, timedelta]) -> None:
    for chore, pause in sorted(every.items()):
        await chores.plan(conn, chore, pause)


async def defer_due(conn: Conn, known: Collection[str]) -> int:
    async with conn.transaction():
        due = await chores.due(conn, sorted(known))
        for chore in due:
            await defer(conn, chore, lock=chore)
    return len(due)


async def give_back_stalled(conn: Conn, silent: timedelta, *, server: str) -> int:
    """One by one, each in a savepoint: a clash of one keeps no other."""
    async with conn.transaction():
        rows = await chores.stalled(conn, silent=silent, limit=BATCH)
        for row in rows:
            await give_back_one(
                conn,
                row["id"],
                row["attempts"],
                server=server,
                error="its server ended or fell silent",
            )
    await chores.forget_workers(conn, silent)
    return len(rows)


async def give_back(conn: Conn, jobs: Collection[int], *, server: str, error: str) -> None:
    for job in sorted(jobs):
        found = await chores.page(conn, id=job)
        if found and found[0]["status"] == "RUNNING":
            await give_back_one(conn, job, found[0]["attempts"], server=server, error=error)


async def give_back_one(conn: Conn, job: int, attempt: int, *, server: str, error: str) -> None:
    try:
        async with conn.transaction():
            await chores.give_back(
                conn,
                job,
                attempt=attempt,
                most=MOST,
                counted=1,
                state="LOST",
                server=server,
                error=error,
            )
    except UniqueViolation:
        await chores.merge(conn, job, server=server)


async def sweep(conn: Conn) -> int:
    return await chores.sweep(conn, BATCH) + await chores.forget_history(
        conn, life=LIFE, limit=BATCH
    )


async def forget_failed(conn: Conn, *, server: str) -> int:
    """Chores that failed so long ago that nobody will take them up."""
    gone = 0
    while found := await chores.forget_failed(
        conn, life=LIFE_OF_FAILED, limit=BATCH, server=server
    ):
        gone += found
    return gone
