"""The runs table. One function for each statement in sql/queries/runs.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.domain.runs import Run
from scheduler.domain.states import RunState
from scheduler.store.rows import (
    Row,
    execute,
    fetch_all,
    fetch_column,
    fetch_row,
    fetch_rows,
)
from sql.statements import statements

RUNS = statements("runs")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What one or many new runs of a type have in common."""

    type: str
    version: int
    priority: int
    triggered_by: str
    record: str | None = None
    task_priority: int | None = None  # above what the definition says for each task
    timeout: timedelta | None = None
    labels: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    readied: Sequence[str] | None
    unsettled: Sequence[UUID] | None
    limited: Sequence[UUID] | None


async def start(
    conn: Conn, new: Start, ids: Sequence[UUID], inputs: Sequence[dict[str, Any]]
) -> Started:
    cursor = await conn.execute(
        RUNS["start"],
        {
            "type": new.type,
            "version": new.version,
            "record": new.record,
            "priority": new.priority,
            "task_priority": new.task_priority,
            "timeout": new.timeout,
            "labels": Jsonb(new.labels or {}),
            "triggered_by": new.triggered_by,
            "event": Jsonb({"by": new.triggered_by}),
            "ids": list(ids),
            "inputs": [Jsonb(each) for each in inputs],
        },
    )
    return Started(*(await cursor.fetchone() or (None, None, None)))


async def lock(conn: Conn, ids: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, RUNS["lock"], ids=list(ids))


async def lock_free(conn: Conn, ids: Sequence[UUID]) -> list[UUID]:
    return await fetch_column(conn, RUNS["lock_free"], ids=list(ids))


async def lock_boards(conn: Conn, ids: Sequence[UUID]) -> list[Run]:
    return await fetch_all(conn, Run, RUNS["lock_boards"], ids=list(ids))


async def write(conn: Conn, runs: Sequence[Run]) -> int:
    return await execute(
        conn,
        RUNS["write"],
        ids=[r.id for r in runs],
        states=[r.state for r in runs],
        ends_as=[r.ends_as for r in runs],
        rounds=[r.round for r in runs],
        inputs=[Jsonb(r.input) for r in runs],
        errors=[r.error for r in runs],
        open=[r.open for r in runs],
        failed=[r.failed for r in runs],
        events=[r.events for r in runs],
        finished_at=[r.finished_at for r in runs],
        due_at=[r.due_at for r in runs],
    )


async def overdue(conn: Conn, limit: int) -> list[UUID]:
    return await fetch_column(conn, RUNS["overdue"], limit=limit)


async def get(conn: Conn, run: UUID) -> Row | None:
    return await fetch_row(conn, RUNS["get"], id=run)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: UUID | None = None,
    type: str | None = None,
    record: str | None = None,
    states: Sequence[RunState] | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        RUNS["page"],
        limit=limit,
        after=after,
        type=type,
        record=record,
        states=list(states) if states else None,
    )


async def count_by_state(conn: Conn) -> dict[str, int]:
    rows = await fetch_rows(conn, RUNS["count_by_state"])
    return {row["state"]: row["runs"] for row in rows}


async def states(conn: Conn, ids: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, RUNS["states"], ids=list(ids))


async def set_priority(conn: Conn, run: UUID, priority: int) -> int:
    return await execute(conn, RUNS["set_priority"], id=run, priority=priority)


async def remember(conn: Conn, key: str, digest: str, run: UUID) -> bool:
    """False if the key is another run's already."""
    return bool(await fetch_column(conn, RUNS["remember"], key=key, digest=digest, run=run))


async def remembered(conn: Conn, key: str) -> Row | None:
    return await fetch_row(conn, RUNS["remembered"], key=key)


async def forget_keys(conn: Conn, age: timedelta) -> int:
    return await execute(conn, RUNS["forget_keys"], age=age)
