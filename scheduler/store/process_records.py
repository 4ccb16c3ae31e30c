"""Process records. One function for each statement in process_records.sql."""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_planned, fetch_row
from sql.statements import statements

RECORDS = statements("process_records")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records somebody wants to see; None stands for all."""

    type: str | None = None
    statuses: list[str] | None = None  # of their latest runs
    text: str | None = None  # a part of the id or of the description


async def create(
    conn: Conn,
    record: str,
    *,
    type: str,
    description: str,
    input: dict[str, Any],
    vars: dict[str, Any],
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
            vars=Jsonb(vars),
            priority=priority,
            by=by,
        )
    )


async def get(conn: Conn, record: str) -> Row | None:
    return await fetch_row(conn, RECORDS["get"], id=record)


async def page(conn: Conn, filter: Filter, *, limit: int, after: str | None = None) -> list[Row]:
    return await fetch_planned(conn, RECORDS["page"], **asdict(filter), limit=limit, after=after)


async def count(conn: Conn, filter: Filter, most: int) -> int:
    [row] = await fetch_planned(conn, RECORDS["count"], **asdict(filter), most=most)
    return int(row["records"])


async def lock(conn: Conn, record: str) -> Row | None:
    return await fetch_row(conn, RECORDS["lock"], id=record)


async def change(
    conn: Conn,
    record: str,
    *,
    type: str,
    description: str,
    input: dict[str, Any],
    vars: dict[str, Any],
    priority: int | None,
) -> None:
    await execute(
        conn,
        RECORDS["change"],
        id=record,
        type=type,
        description=description,
        input=Jsonb(input),
        vars=Jsonb(vars),
        priority=priority,
    )


async def point(conn: Conn, record: str, run: UUID) -> None:
    await execute(conn, RECORDS["point"], id=record, run=run)


async def delete(conn: Conn, record: str) -> None:
    await execute(conn, RECORDS["delete"], id=record)
