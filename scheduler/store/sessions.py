"""Who is signed in, and who tries to be. One function for each statement in
sql/queries/sessions.sql."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

SESSIONS = statements("sessions")
Conn = AsyncConnection[Any]


async def begin(
    conn: Conn,
    *,
    digest: bytes,
    user: int,
    source: str,
    agent: str,
    idle: timedelta,
    length: timedelta,
) -> int:
    session: int = await fetch_value(
        conn,
        SESSIONS["begin"],
        digest=digest,
        user=user,
        source=source,
        agent=agent,
        idle=idle,
        length=length,
    )
    return session


async def find(conn: Conn, digest: bytes) -> Row | None:
    return await fetch_row(conn, SESSIONS["find"], digest=digest)


async def seen(conn: Conn, session: int, idle: timedelta) -> None:
    await execute(conn, SESSIONS["seen"], id=session, idle=idle)


async def page(
    conn: Conn,
    *,
    limit: int,
    user: int | None = None,
    name: str | None = None,
    after: int | None = None,
) -> list[Row]:
    return await fetch_rows(conn, SESSIONS["page"], user=user, name=name, after=after, limit=limit)


async def chosen(conn: Conn, ids: Sequence[int], user: int | None) -> list[Row]:
    return await fetch_rows(conn, SESSIONS["chosen"], ids=list(ids), user=user)


async def end(conn: Conn, session: int, user: int | None = None) -> bool:
    return await execute(conn, SESSIONS["end"], id=session, user=user) == 1


async def end_all(conn: Conn, user: int, except_for: int | None = None) -> int:
    return await execute(conn, SESSIONS["end_all"], user=user, except_for=except_for)


async def knows(conn: Conn, name: str, source: str) -> bool:
    return bool(await fetch_value(conn, SESSIONS["knows"], name=name, source=source))


async def try_(conn: Conn, key: str, window: timedelta) -> Row:
    found = await fetch_row(conn, SESSIONS["try"], key=key, window=window)
    assert found is not None
    return found


async def forgive(conn: Conn, keys: Sequence[str]) -> None:
    await execute(conn, SESSIONS["forgive"], keys=list(keys))


async def forget_tries(conn: Conn, key: str) -> None:
    await execute(conn, SESSIONS["forget_tries"], key=key)


async def forget(conn: Conn) -> int:
    return await execute(conn, SESSIONS["forget"])
