"""What workstations have for when they are alone. One function for each statement in stocks.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

STOCKS = statements("stocks")
Conn = AsyncConnection[Any]


async def lock(conn: Conn) -> bool:
    return bool(await fetch_value(conn, STOCKS["lock"]))


async def watermark(conn: Conn) -> str:
    return str(await fetch_value(conn, STOCKS["watermark"]))


async def stations(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, STOCKS["stations"])


async def revoked(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, STOCKS["revoked"])


async def types(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, STOCKS["types"])


async def schedules(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, STOCKS["schedules"])


async def assign(conn: Conn, given: Sequence[tuple[int, int]]) -> None:
    await execute(
        conn,
        STOCKS["assign"],
        schedules=[schedule for schedule, _ in given],
        workstations=[workstation for _, workstation in given],
    )


async def part(conn: Conn, kept: Sequence[int]) -> None:
    await execute(conn, STOCKS["part"], kept=list(kept))


async def abandon(conn: Conn) -> list[int]:
    return await fetch_column(conn, STOCKS["abandon"])


async def put(conn: Conn, workstation: int, wanted: str, content: Row) -> bool:
    """Whether it is to have something else than before."""
    found = await fetch_value(
        conn, STOCKS["put"], workstation=workstation, wanted=wanted, content=Jsonb(content)
    )
    return found is not None


async def forget(conn: Conn, workstation: int) -> None:
    await execute(conn, STOCKS["forget"], workstation=workstation)


async def due(conn: Conn, workstation: int) -> Row | None:
    return await fetch_row(conn, STOCKS["due"], workstation=workstation)


async def keep(conn: Conn, workstation: int, revision: str) -> list[int]:
    return await fetch_column(conn, STOCKS["keep"], workstation=workstation, revision=revision)


async def to_rouse(conn: Conn, schedules: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, STOCKS["to_rouse"], schedules=list(schedules))


async def rouse(
    conn: Conn, schedule: int, next_tick: datetime | None, next_at: datetime | None
) -> None:
    await execute(conn, STOCKS["rouse"], schedule=schedule, next_tick=next_tick, next_at=next_at)
