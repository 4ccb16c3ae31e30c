"""What a transaction asks of runs that it has not locked. One function for each statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.domain.errands import Errand
from scheduler.store.rows import execute, fetch_all, fetch_column, fetch_value
from sql.statements import statements

ERRANDS = statements("errands")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A task whose children are told something."""

    run_id: UUID
    task_id: int
    kind: str


async def add(conn: Conn, errands: Sequence[Errand], *, by: str) -> int:
    return await execute(
        conn,
        ERRANDS["add"],
        runs=[e.run_id for e in errands],
        tasks=[e.task_id for e in errands],
        kinds=[e.kind for e in errands],
        data=[Jsonb(e.data) for e in errands],
        by=by,
    )


async def tell_children(conn: Conn, told: Sequence[Told]) -> int:
    return await execute(
        conn,
        ERRANDS["tell_children"],
        runs=[t.run_id for t in told],
        tasks=[t.task_id for t in told],
        kinds=[t.kind for t in told],
    )


async def runs(conn: Conn, limit: int) -> list[UUID]:
    return await fetch_column(conn, ERRANDS["runs"], limit=limit)


async def take(conn: Conn, runs: Sequence[UUID]) -> list[Errand]:
    return await fetch_all(conn, Errand, ERRANDS["take"], runs=list(runs))


async def latest_child(conn: Conn, run: UUID, task: int | None) -> UUID | None:
    found: UUID | None = await fetch_value(conn, ERRANDS["latest_child"], run=run, task=task)
    return found
