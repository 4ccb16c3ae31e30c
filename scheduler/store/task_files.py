"""Files that attempts left. One function for each statement in sql/queries/task_files.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from executor.base import Left
from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

TASK_FILES = statements("task_files")
Conn = AsyncConnection[Any]


async def wanted(conn: Conn, digests: Sequence[str]) -> list[str]:
    found = await fetch_column(conn, TASK_FILES["wanted"], digests=as_bytes(digests))
    return [bytes(digest).hex() for digest in found]


async def put(conn: Conn, digest: str, data: bytes) -> None:
    await execute(conn, TASK_FILES["put"], digest=bytes.fromhex(digest), size=len(data), data=data)


async def keep(conn: Conn, holder: int, task: int, attempt: int, files: Sequence[Left]) -> int:
    return await execute(
        conn,
        TASK_FILES["keep"],
        holder=holder,
        task=task,
        attempt=attempt,
        names=[each.name for each in files],
        types=[each.type for each in files],
        sizes=[each.size for each in files],
        digests=as_bytes([each.digest for each in files]),
    )


async def page(conn: Conn, run: UUID, task: int | None, *, after: int, limit: int) -> list[Row]:
    """Those of one task, or of all."""
    return await fetch_rows(conn, TASK_FILES["page"], run=run, task=task, after=after, limit=limit)


async def find(conn: Conn, task: int, name: str, attempt: int | None = None) -> Row | None:
    return await fetch_row(conn, TASK_FILES["find"], task=task, name=name, attempt=attempt)


async def read(conn: Conn, file: int, start: int, limit: int) -> bytes | None:
    """None if the run was deleted meanwhile."""
    data = await fetch_value(conn, TASK_FILES["read"], file=file, start=start, limit=limit)
    return None if data is None else bytes(data)


async def sweep(conn: Conn, limit: int = 1000) -> int:
    return await execute(conn, TASK_FILES["sweep"], limit=limit)


def as_bytes(digests: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(digest) for digest in digests]
