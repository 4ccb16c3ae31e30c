"""Tasks that wait for an event. One function for each statement in sql/queries/waits.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import execute, fetch_all
from sql.statements import statements

WAITS = statements("waits")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Met:
    """A task, and the event that it waited for."""

    task_id: int
    run_id: UUID
    event: int


async def lock(conn: Conn, types: Sequence[str], keys: Sequence[str]) -> None:
    await conn.execute(WAITS["lock"], {"types": list(types), "keys": list(keys)})


async def lock_shared(conn: Conn, types: Sequence[str], keys: Sequence[str]) -> None:
    await conn.execute(WAITS["lock_shared"], {"types": list(types), "keys": list(keys)})


async def add(
    conn: Conn,
    tasks: Sequence[int],
    runs: Sequence[UUID],
    types: Sequence[str],
    keys: Sequence[str],
) -> None:
    await execute(
        conn, WAITS["add"], tasks=list(tasks), runs=list(runs), types=list(types), keys=list(keys)
    )


async def find(conn: Conn, tasks: Sequence[int]) -> list[Met]:
    return await fetch_all(conn, Met, WAITS["find"], tasks=list(tasks))


async def had(conn: Conn, task: int, event: int) -> int:
    return await execute(conn, WAITS["had"], task=task, event=event)


async def reached(conn: Conn, events: Sequence[int]) -> int:
    return await execute(conn, WAITS["reached"], events=list(events))
