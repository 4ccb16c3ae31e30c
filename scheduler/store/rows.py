"""Three ways to run a statement; the rows come back as the caller's own type."""

from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from psycopg.sql import SQL

T = TypeVar("T")
Row = dict[str, Any]


async def fetch_all(
    conn: AsyncConnection[Any], row: type[T], statement: SQL, **values: Any
) -> list[T]:
    async with conn.cursor(row_factory=class_row(row)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


async def fetch_one(
    conn: AsyncConnection[Any], row: type[T], statement: SQL, **values: Any
) -> T | None:
    async with conn.cursor(row_factory=class_row(row)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchone()


async def fetch_rows(conn: AsyncConnection[Any], statement: SQL, **values: Any) -> list[Row]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


async def fetch_planned(conn: AsyncConnection[Any], statement: SQL, **values: Any) -> list[Row]:
    """Planned for these values and no others: what is not asked for drops out of the plan."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values, prepare=False)
        return await cursor.fetchall()


async def fetch_row(conn: AsyncConnection[Any], statement: SQL, **values: Any) -> Row | None:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchone()


async def fetch_column(conn: AsyncConnection[Any], statement: SQL, **values: Any) -> list[Any]:
    cursor = await conn.execute(statement, values)
    return [row[0] for row in await cursor.fetchall()]


async def fetch_value(conn: AsyncConnection[Any], statement: SQL, **values: Any) -> Any:
    cursor = await conn.execute(statement, values)
    row = await cursor.fetchone()
    return row[0] if row else None


async def execute(conn: AsyncConnection[Any], statement: SQL, **values: Any) -> int:
    cursor = await conn.execute(statement, values)
    return cursor.rowcount
