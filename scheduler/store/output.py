"""What commands printed: bytes by offset. One function for each statement in output.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import execute, fetch_all
from sql.statements import statements

OUTPUT = statements("output")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    task_id: int
    attempt: int
    start: int
    stream: int  # 1 for stdout, 2 for stderr
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    task_id: int
    attempt: int
    stored: int


async def append(conn: Conn, holder: int, chunks: Sequence[Chunk]) -> None:
    await execute(
        conn,
        OUTPUT["append"],
        holder=holder,
        tasks=[c.task_id for c in chunks],
        attempts=[c.attempt for c in chunks],
        starts=[c.start for c in chunks],
        streams=[c.stream for c in chunks],
        data=[c.data for c in chunks],
    )


async def ends(conn: Conn, keys: Sequence[tuple[int, int]]) -> list[End]:
    return await fetch_all(
        conn, End, OUTPUT["ends"], tasks=[k[0] for k in keys], attempts=[k[1] for k in keys]
    )


async def read(
    conn: Conn, task: int, attempt: int, *, start: int = 0, limit: int = 64
) -> list[Chunk]:
    rows = await fetch_all(
        conn,
        Chunk,
        OUTPUT["read"],
        **{"task": task, "attempt": attempt, "from": start, "limit": limit},
    )
    return rows
