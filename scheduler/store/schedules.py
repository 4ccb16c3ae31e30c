"""Schedules, and stops of all of them. One function for each statement in schedules.sql."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

SCHEDULES = statements("schedules")
Conn = AsyncConnection[Any]
Spec = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a schedule starts: runs of a type, or of a record."""

    type: str | None = None
    record: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where a schedule stands from now on."""

    id: int
    next_tick: datetime | None
    next_at: datetime | None
    queued: datetime | None = None
    living: Sequence[UUID] = field(default_factory=list)
    last_tick: datetime | None = None
    wakes: bool = False  # its pause is over


async def create(
    conn: Conn,
    target: Target,
    name: str,
    *,
    spec: Spec,
    declared: Spec | None,
    origin: str,
    next_tick: datetime | None,
    next_at: datetime | None,
    at: datetime,
    by: str,
) -> int | None:
    """Its id; None where there is one of that name."""
    found: int | None = await fetch_value(
        conn,
        SCHEDULES["create"],
        name=name,
        type=target.type,
        record=target.record,
        spec=Jsonb(spec),
        declared=None if declared is None else Jsonb(declared),
        origin=origin,
        next_tick=next_tick,
        next_at=next_at,
        at=at,
        by=by,
    )
    return found


async def get(conn: Conn, schedule: int) -> Row | None:
    return await fetch_row(conn, SCHEDULES["get"], id=schedule)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: int | None = None,
    type: str | None = None,
    record: str | None = None,
    paused: bool | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        SCHEDULES["page"],
        limit=limit,
        after=after,
        type=type,
        record=record,
        paused=paused,
    )


async def lock(conn: Conn, schedule: int) -> Row | None:
    return await fetch_row(conn, SCHEDULES["lock"], id=schedule)


async def lock_all(conn: Conn, target: Target) -> list[Row]:
    return await fetch_rows(conn, SCHEDULES["lock_all"], type=target.type, record=target.record)


async def moment(conn: Conn) -> datetime:
    """The only clock that counts."""
    found: datetime = await fetch_value(conn, SCHEDULES["moment"])
    return found


async def change(
    conn: Conn,
    schedule: int,
    *,
    name: str,
    spec: Spec,
    declared: Spec | None,
    next_tick: datetime | None,
    next_at: datetime | None,
) -> None:
    await execute(
        conn,
        SCHEDULES["change"],
        id=schedule,
        name=name,
        spec=Jsonb(spec),
        declared=None if declared is None else Jsonb(declared),
        next_tick=next_tick,
        next_at=next_at,
    )


async def delete(conn: Conn, schedule: int) -> int:
    return await execute(conn, SCHEDULES["delete"], id=schedule)


async def pause(
    conn: Conn, schedule: int, *, until: datetime | None, by: str, note: str | None
) -> None:
    await execute(conn, SCHEDULES["pause"], id=schedule, until=until, by=by, note=note)


async def resume(conn: Conn, schedule: int) -> None:
    await execute(conn, SCHEDULES["resume"], id=schedule)


async def due(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCHEDULES["due"], limit=limit)


async def waiting(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCHEDULES["waiting"], limit=limit)


async def to_stop(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCHEDULES["to_stop"], limit=limit)


async def lock_records(conn: Conn, ids: Sequence[str]) -> None:
    await execute(conn, SCHEDULES["lock_records"], ids=list(ids))


async def living(conn: Conn, schedules: Sequence[int]) -> dict[int, list[UUID]]:
    rows = await fetch_rows(conn, SCHEDULES["living"], ids=list(schedules))
    return {row["id"]: row["living"] for row in rows}


async def move(conn: Conn, moves: Sequence[Move]) -> None:
    await execute(
        conn,
        SCHEDULES["move"],
        ids=[each.id for each in moves],
        next_ticks=[each.next_tick for each in moves],
        next_ats=[each.next_at for each in moves],
        queued=[each.queued for each in moves],
        living=[f"{{{','.join(map(str, each.living))}}}" for each in moves],
        last_ticks=[each.last_tick for each in moves],
        wakes=[each.wakes for each in moves],
    )


async def next_due(conn: Conn) -> float | None:
    found: float | None = await fetch_value(conn, SCHEDULES["next_due"])
    return found


async def is_any_waiting(conn: Conn) -> bool:
    return bool(await fetch_value(conn, SCHEDULES["is_any_waiting"]))


async def stop_all(conn: Conn, *, by: str, note: str | None) -> bool:
    """False if they were stopped already."""
    return bool(await fetch_column(conn, SCHEDULES["stop_all"], by=by, note=note))


async def resume_all(conn: Conn, *, by: str) -> bool:
    """False if they were not stopped."""
    return bool(await fetch_column(conn, SCHEDULES["resume_all"], by=by))


async def stopped(conn: Conn) -> Row | None:
    return await fetch_row(conn, SCHEDULES["stopped"])


async def stops_since(conn: Conn, since: datetime) -> list[Row]:
    return await fetch_rows(conn, SCHEDULES["stops_since"], since=since)


async def add_living(conn: Conn, schedule: int, run: UUID) -> None:
    await execute(conn, SCHEDULES["add_living"], id=schedule, run=run)
