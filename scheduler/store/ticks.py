"""Ticks and their fates. One function for each statement in sql/queries/ticks.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.ticks import TickState
from scheduler.store.rows import Row, execute, fetch_column, fetch_rows
from sql.statements import statements

TICKS = statements("ticks")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    schedule: int
    tick: datetime
    due: datetime
    state: TickState
    reason: str | None
    run: UUID | None
    until: datetime | None


async def known(conn: Conn, wanted: Sequence[tuple[int, datetime]]) -> set[tuple[int, datetime]]:
    rows = await fetch_rows(
        conn,
        TICKS["known"],
        schedules=[schedule for schedule, _ in wanted],
        ticks=[tick for _, tick in wanted],
    )
    return {(row["schedule_id"], row["tick"]) for row in rows}


async def add(conn: Conn, new: Sequence[Tick]) -> None:
    await execute(
        conn,
        TICKS["add"],
        schedules=[each.schedule for each in new],
        ticks=[each.tick for each in new],
        states=[each.state.value for each in new],
        reasons=[each.reason for each in new],
        runs=[each.run for each in new],
        due=[each.due for each in new],
        until=[each.until for each in new],
    )


async def settle(
    conn: Conn,
    schedule: int,
    tick: datetime,
    *,
    state: TickState,
    reason: str | None = None,
    run: UUID | None = None,
) -> None:
    await execute(
        conn,
        TICKS["settle"],
        schedule=schedule,
        tick=tick,
        state=state.value,
        reason=reason,
        run=run,
    )


async def trigger(conn: Conn, schedule: int, tick: datetime, *, run: UUID, reason: str) -> None:
    await execute(conn, TICKS["trigger"], schedule=schedule, tick=tick, run=run, reason=reason)


async def fill(
    conn: Conn,
    schedule: int,
    tick: datetime,
    *,
    state: TickState,
    reason: str | None,
    run: UUID | None,
) -> None:
    await execute(
        conn,
        TICKS["fill"],
        schedule=schedule,
        tick=tick,
        state=state.value,
        reason=reason,
        run=run,
    )


async def cut(
    conn: Conn,
    schedule: int,
    tick: datetime,
    *,
    following: datetime | None,
    due: datetime | None,
) -> None:
    await execute(conn, TICKS["cut"], schedule=schedule, tick=tick, following=following, due=due)


async def page(
    conn: Conn,
    schedule: int,
    *,
    limit: int,
    after: datetime | None = None,
    state: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, TICKS["page"], schedule=schedule, limit=limit, after=after, state=state
    )


async def started(conn: Conn, schedule: int, ticks: Sequence[datetime]) -> set[datetime]:
    return set(await fetch_column(conn, TICKS["started"], schedule=schedule, ticks=list(ticks)))
