"""Process records. One function for each statement in process_records.sql."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows
from sql.statements import statements

RECORDS = statements("process_records")
Conn = AsyncConnection[Any]


async def create(
    conn: Conn,
    record: str,
    *,
    type: str,
    description: str,
    input: dict[str, Any],
    priority: int | None,
    by: str,
) -> bool:
    return bool(
        await fetch_column(
            conn,
            RECORDS["create"],
            id=record,
            type=type,
            description=description,
            input=Jsonb(input),
            priority=priority,
            by=by,
        )
    )


async def get(conn: Conn, record: str) -> Row | None:
    return await fetch_row(conn, RECORDS["get"], id=record)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: str | None = None,
    type: str | None = None,
    status: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, RECORDS["page"], limit=limit, after=after, type=type, status=status
    )


async def lock(conn: Conn, record: str) -> Row | None:
    return await fetch_row(conn, RECORDS["lock"], id=record)


async def change(
    conn: Conn,
    record: str,
    *,
    type: str,
    description: str,
    input: dict[str, Any],
    priority: int | None,
) -> None:
    await execute(
        conn,
        RECORDS["change"],
        id=record,
        type=type,
        description=description,
        input=Jsonb(input),
        priority=priority,
    )


async def point(conn: Conn, record: str, run: UUID) -> None:
    await execute(conn, RECORDS["point"], id=record, run=run)


async def delete(conn: Conn, record: str) -> None:
    await execute(conn, RECORDS["delete"], id=record)
