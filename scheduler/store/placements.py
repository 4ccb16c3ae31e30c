"""Where tasks are carried out. One function for each statement in sql/queries/placements.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.places import Station
from scheduler.store.rows import (
    Row,
    execute,
    fetch_all,
    fetch_column,
    fetch_row,
    fetch_rows,
    fetch_value,
)
from sql.statements import statements

PLACEMENTS = statements("placements")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a claim: what was given back, and the queues that have something by that."""

    given_back: frozenset[int]
    queues: frozenset[str]


NOTHING = Taken(frozenset(), frozenset())


async def ready_queues(conn: Conn) -> list[str]:
    return await fetch_column(conn, PLACEMENTS["ready_queues"])


async def stations(conn: Conn) -> list[Station]:
    return await fetch_all(conn, Station, PLACEMENTS["stations"])


async def seen(conn: Conn, silence: timedelta) -> list[Row]:
    return await fetch_rows(conn, PLACEMENTS["seen"], silence=silence)


async def taken(conn: Conn, run: UUID) -> dict[str, str]:
    rows = await fetch_rows(conn, PLACEMENTS["taken"], run=run)
    return {row["selector"]: row["workstation"] for row in rows}


async def note_taken(conn: Conn, tasks: Sequence[int], id: int) -> Taken:
    """In the transaction in which a workstation has claimed from one queue of labels, before any of
    it is offered: what goes together in a run is all its, or what it has claimed is not."""
    if not tasks:
        return NOTHING
    claim = await fetch_row(conn, PLACEMENTS["claim"], tasks=list(tasks), id=id)
    assert claim is not None  # it has claimed
    name, sticky = claim["name"], claim["sticky"]
    back = await give_back(conn, sticky, name) if sticky else NOTHING
    rest = [task for task in tasks if task not in back.given_back]
    kept = await fetch_rows(conn, PLACEMENTS["keep"], tasks=rest, workstation=name)
    if together := sorted({row["run_id"] for row in kept if row["id"] in sticky}):
        gathered = await fetch_column(conn, PLACEMENTS["gather"], runs=together, workstation=name)
        return Taken(back.given_back, back.queues.union(gathered))
    return back


async def give_back(conn: Conn, tasks: Sequence[int], workstation: str) -> Taken:
    """Of what goes together, all that others have taken the first of."""
    await execute(conn, PLACEMENTS["note"], tasks=list(tasks), workstation=workstation)
    rows = await fetch_rows(
        conn, PLACEMENTS["give_back"], tasks=list(tasks), workstation=workstation
    )
    return Taken(frozenset(row["id"] for row in rows), frozenset(row["queue"] for row in rows))


async def leave(conn: Conn, run: UUID, selector: str) -> list[str]:
    return await fetch_column(conn, PLACEMENTS["leave"], run=run, selector=selector)


async def too_late(conn: Conn, limit: int) -> list[UUID]:
    return await fetch_column(conn, PLACEMENTS["too_late"], limit=limit)


async def next_too_late(conn: Conn) -> float | None:
    """Seconds until the first moment before which something is to begin."""
    seconds: float | None = await fetch_value(conn, PLACEMENTS["next_too_late"])
    return seconds
