"""The files that attempts left, by run, task and name."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import NotFound
from scheduler.services import outputs, runs
from scheduler.store import task_files
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


async def of_run(conn: Conn, run: UUID, *, after: int, limit: int) -> list[Row]:
    await runs.get(conn, run)
    return await task_files.page(conn, run, None, after=after, limit=limit)


async def of_task(conn: Conn, run: UUID, name: str, *, after: int, limit: int) -> list[Row]:
    task = await outputs.task_of(conn, run, name)
    return await task_files.page(conn, run, task["id"], after=after, limit=limit)


async def find(conn: Conn, run: UUID, task: str, name: str, attempt: int | None) -> Row:
    found = await outputs.task_of(conn, run, task)
    file = await task_files.find(conn, found["id"], name, attempt)
    if file is None:
        whose = f"attempt {attempt} of this task" if attempt else "this task"
        raise NotFound(f"{whose} left no file {name!r}: list its files to see which there are")
    return file


async def read(conn: Conn, file: int, start: int, limit: int) -> bytes | None:
    return await task_files.read(conn, file, start, limit)
