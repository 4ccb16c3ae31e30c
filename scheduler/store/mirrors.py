"""Runs that workstations decide about. One function for each statement in mirrors.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

MIRRORS = statements("mirrors")
Conn = AsyncConnection[Any]


async def put_run(conn: Conn, workstation: int, row: Row) -> bool:
    """False if it is not this workstation's, or of a type that is not known."""
    found = await fetch_value(conn, MIRRORS["put_run"], workstation=workstation, row=Jsonb(row))
    return found is not None


async def put_tasks(
    conn: Conn, run: UUID, rows: Sequence[Row], *, queue: str, holder: int | None
) -> None:
    await execute(
        conn, MIRRORS["put_tasks"], run=run, rows=Jsonb(list(rows)), queue=queue, holder=holder
    )


async def put_hands(conn: Conn, workstation: int, run: UUID, positions: Sequence[int]) -> None:
    await execute(
        conn,
        MIRRORS["put_hands"],
        workstation=workstation,
        run=run,
        positions=list(positions),
    )


async def tasks_of(conn: Conn, run: UUID, positions: Sequence[int]) -> dict[int, int]:
    rows = await fetch_rows(conn, MIRRORS["tasks_of"], run=run, positions=list(positions))
    return {row["position"]: row["id"] for row in rows}


async def parent_of(conn: Conn, workstation: int, task: int, attempt: int) -> Row | None:
    return await fetch_row(
        conn, MIRRORS["parent_of"], workstation=workstation, task=task, attempt=attempt
    )


async def task_at(conn: Conn, workstation: int, run: UUID, position: int) -> int | None:
    found: int | None = await fetch_value(
        conn, MIRRORS["task_at"], workstation=workstation, run=run, position=position
    )
    return found


async def own_hands(
    conn: Conn, workstation: int, own: Sequence[tuple[UUID, int, int]]
) -> list[Row]:
    return await fetch_rows(
        conn,
        MIRRORS["own_hands"],
        workstation=workstation,
        runs=[run for run, _, _ in own],
        positions=[position for _, position, _ in own],
        numbers=[number for _, _, number in own],
    )


async def put_questions(conn: Conn, run: UUID, rows: Sequence[Row]) -> None:
    await execute(conn, MIRRORS["put_questions"], run=run, rows=Jsonb(list(rows)))


async def station_of(conn: Conn, run: UUID) -> Row | None:
    return await fetch_row(conn, MIRRORS["station_of"], run=run)


async def asked(conn: Conn, workstation: int, run: str, verb: str | None) -> list[Row]:
    return await fetch_rows(conn, MIRRORS["asked"], workstation=workstation, run=run, verb=verb)


async def question(conn: Conn, approval: int) -> Row | None:
    return await fetch_row(conn, MIRRORS["question"], approval=approval)


async def put_ticks(conn: Conn, workstation: int, schedule: int, rows: Sequence[Row]) -> None:
    await execute(
        conn,
        MIRRORS["put_ticks"],
        workstation=workstation,
        schedule=schedule,
        rows=Jsonb(list(rows)),
    )


async def move_schedule(
    conn: Conn,
    workstation: int,
    schedule: int,
    next_tick: datetime | None,
    last_tick: datetime | None,
) -> None:
    await execute(
        conn,
        MIRRORS["move_schedule"],
        workstation=workstation,
        schedule=schedule,
        next_tick=next_tick,
        last_tick=last_tick,
    )
