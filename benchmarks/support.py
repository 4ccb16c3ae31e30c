"""What every benchmark needs: a PostgreSQL as `up` starts it, and a fair moment."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from scheduler.embedded import EmbeddedPostgres
from scheduler.store.migrations import migrate

LOOK_EVERY = 0.02

numbers = count(1)


@asynccontextmanager
async def postgres(url: str | None) -> AsyncIterator[str]:
    """The given server, or an embedded one with its ordinary settings, fsync on."""
    if url:
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="procession-bench-"))
    server = EmbeddedPostgres(folder)
    try:
        yield (await server.start()).url
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def database(server: str, *, migrated: bool = True) -> AsyncIterator[str]:
    """A database of its own, gone afterwards."""
    name = f"bench_{next(numbers)}_{time.time_ns() % 10**9}"
    async with await AsyncConnection.connect(server, autocommit=True) as admin:
        await admin.execute(SQL("create database {}").format(Identifier(name)))
        url = make_conninfo(server, dbname=name)
        try:
            if migrated:
                await migrate(url)
            yield url
        finally:
            await admin.execute(SQL("drop database {} with (force)").format(Identifier(name)))


async def settle(url: str) -> None:
    """Vacuum, analyse and flush, so that one contender does not pay for the one before."""
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute("vacuum analyze")
        await conn.execute("checkpoint")


async def until(
    conn: AsyncConnection[Any],
    done: Callable[[AsyncConnection[Any]], Awaitable[bool]],
    *,
    limit: float = 600,
) -> None:
    await patiently(lambda: done(conn), limit)


async def patiently(done: Callable[[], Awaitable[bool]], limit: float) -> None:
    async with asyncio.timeout(limit):
        while not await done():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(LOOK_EVERY)


async def one(conn: AsyncConnection[Any], statement: str, *values: Any) -> Any:
    row = await (await conn.execute(SQL(statement), values)).fetchone()
    return row[0] if row else None
