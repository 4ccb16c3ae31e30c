"""Workers, queues and limits as people look at them. One function for each statement in
sql/queries/fleet.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows
from sql.statements import statements

FLEET = statements("fleet")
Conn = AsyncConnection[Any]


async def workers(
    conn: Conn,
    *,
    limit: int,
    after: str = "",
    state: str | None = None,
    queue: str | None = None,
    text: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, FLEET["workers"], limit=limit, after=after, state=state, queue=queue, text=text
    )


async def named(conn: Conn, names: Sequence[str]) -> list[Row]:
    return await fetch_rows(conn, FLEET["named"], names=list(names))


async def counts(conn: Conn) -> dict[str, int]:
    return {row["state"]: row["workers"] for row in await fetch_rows(conn, FLEET["counts"])}


async def incarnations(conn: Conn, name: str, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["incarnations"], name=name, limit=limit)


async def presence(conn: Conn, names: Sequence[str], *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["presence"], names=list(names), limit=limit)


async def in_hand(conn: Conn, holders: Sequence[int], *, each: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["in_hand"], holders=list(holders), each=each)


async def lost(conn: Conn, holder: int, *, since: datetime, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["lost"], holder=holder, since=since, limit=limit)


async def queues(
    conn: Conn,
    *,
    limit: int,
    most: int,
    after: str = "",
    text: str | None = None,
    only: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, FLEET["queues"], limit=limit, most=most, after=after, text=text, only=only
    )


async def came(conn: Conn, *, lowest: UUID, most: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["came"], lowest=lowest, most=most)


async def went(conn: Conn, *, most: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["went"], most=most)


async def next_up(conn: Conn, queue: str, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["next_up"], queue=queue, limit=limit)


async def in_hand_of_queue(conn: Conn, queue: str, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["in_hand_of_queue"], queue=queue, limit=limit)


async def limits(
    conn: Conn, *, limit: int, most: int, after: str = "", prefix: str = ""
) -> list[Row]:
    return await fetch_rows(
        conn, FLEET["limits"], limit=limit, most=most, after=after, prefix=prefix
    )


async def limit(conn: Conn, key: str, *, most: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["limit"], key=key, most=most)


async def holders_of(conn: Conn, key: str, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["holders_of"], key=key, limit=limit)


async def waiters_of(conn: Conn, key: str, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLEET["waiters_of"], key=key, limit=limit)
