"""Dead letters that somebody chose. One function for each statement in
sql/queries/dead_letter_selections.sql."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows
from sql.statements import statements

SELECTIONS = statements("dead_letter_selections")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which open dead letters somebody wants; None stands for all."""

    type: str | None = None
    task: str | None = None
    fingerprint: str | None = None
    made_from: datetime | None = None
    made_to: datetime | None = None

    def told(self) -> dict[str, str]:
        """What was said, as it is kept."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
            if value is not None
        }


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a dead letter, and why it is not what was wanted."""

    id: int
    result: str
    detail: str | None = None
    run: UUID | None = None


async def create(
    conn: Conn, selection: UUID, chosen: Chosen, *, most: int, life: timedelta, by: str
) -> int:
    return await execute(
        conn,
        SELECTIONS["create"],
        id=selection,
        **asdict(chosen),
        filters=Jsonb(chosen.told()),
        most=most,
        life=life,
        by=by,
    )


async def get(conn: Conn, selection: UUID) -> Row | None:
    return await fetch_row(conn, SELECTIONS["get"], id=selection)


async def begin(conn: Conn, selection: UUID, *, action: str, wish: dict[str, Any], by: str) -> bool:
    """False if somebody has begun with it already."""
    return bool(
        await execute(
            conn, SELECTIONS["begin"], id=selection, action=action, wish=Jsonb(wish), by=by
        )
    )


async def take(conn: Conn, selection: UUID, limit: int) -> list[int]:
    return await fetch_column(conn, SELECTIONS["take"], selection=selection, limit=limit)


async def decide(conn: Conn, selection: UUID, decided: Sequence[Decided]) -> None:
    await execute(
        conn,
        SELECTIONS["decide"],
        selection=selection,
        letters=[each.id for each in decided],
        results=[each.result for each in decided],
        details=[each.detail for each in decided],
    )


async def progress(conn: Conn, selection: UUID) -> dict[str | None, int]:
    """How many there are of each result; of None, how many nobody has decided on."""
    rows = await fetch_rows(conn, SELECTIONS["progress"], selection=selection)
    return {row["result"]: row["letters"] for row in rows}


async def troubles(conn: Conn, selection: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SELECTIONS["troubles"], selection=selection, limit=limit)


async def sample(conn: Conn, selection: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SELECTIONS["sample"], selection=selection, limit=limit)


async def members(
    conn: Conn, selection: UUID, *, limit: int, after: int | None = None
) -> list[Row]:
    return await fetch_rows(
        conn, SELECTIONS["members"], selection=selection, limit=limit, after=after
    )


async def forget(conn: Conn, limit: int) -> None:
    await execute(conn, SELECTIONS["forget"], limit=limit)
