"""Questions to people. One function for each statement in sql/queries/approvals.sql."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows
from sql.statements import statements

APPROVALS = statements("approvals")
Conn = AsyncConnection[Any]


async def ask(
    conn: Conn,
    *,
    run: UUID,
    task: int,
    attempt: int,
    message: str,
    who: Sequence[str],
    form: Mapping[str, Any] | None,
    due_at: datetime | None,
) -> int:
    return await execute(
        conn,
        APPROVALS["ask"],
        run=run,
        task=task,
        attempt=attempt,
        message=message,
        who=list(who),
        form=None if form is None else Jsonb(form),
        due_at=due_at,
    )


async def get(conn: Conn, approval: int) -> Row | None:
    return await fetch_row(conn, APPROVALS["get"], id=approval)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: int | None = None,
    state: str | None = None,
    run: UUID | None = None,
    who: Sequence[str] | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        APPROVALS["page"],
        limit=limit,
        after=after,
        state=state,
        run=run,
        who=None if who is None else list(who),
    )


async def decide(
    conn: Conn, approval: int, *, state: str, by: str, data: Any, note: str | None
) -> bool:
    return bool(
        await fetch_column(
            conn,
            APPROVALS["decide"],
            id=approval,
            state=state,
            by=by,
            data=Jsonb(data),
            note=note,
        )
    )


async def close(conn: Conn, tasks: Sequence[int], *, note: str) -> int:
    return await execute(conn, APPROVALS["close"], tasks=list(tasks), note=note)
