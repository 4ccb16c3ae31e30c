"""Files that come from workstations. One function for each statement in
sql/queries/station_files.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_rows, fetch_value
from scheduler.store.workstations import Key
from sql.statements import statements

STATION_FILES = statements("station_files")
Conn = AsyncConnection[Any]


async def stored(conn: Conn, workstation: int, files: Sequence[tuple[Key, int, str]]) -> list[Row]:
    return await fetch_rows(
        conn,
        STATION_FILES["stored"],
        workstation=workstation,
        tasks=[task for (task, _), _, _ in files],
        attempts=[attempt for (_, attempt), _, _ in files],
        numbers=[number for _, number, _ in files],
        names=[name for _, _, name in files],
    )


async def put(conn: Conn, workstation: int, key: Key, number: int, start: int, data: bytes) -> None:
    await execute(
        conn,
        STATION_FILES["put"],
        workstation=workstation,
        task=key[0],
        attempt=key[1],
        number=number,
        start=start,
        data=data,
    )


async def whole(
    conn: Conn,
    workstation: int,
    key: Key,
    number: int,
    *,
    name: str,
    type: str | None,
    digest: bytes,
) -> UUID | None:
    """The run that has it now. None if it was there already, or if its parts are not what they
    were said to be."""
    run: UUID | None = await fetch_value(
        conn,
        STATION_FILES["whole"],
        workstation=workstation,
        task=key[0],
        attempt=key[1],
        number=number,
        name=name,
        type=type,
        digest=digest,
    )
    return run


async def thin(conn: Conn, limit: int) -> int:
    return await execute(conn, STATION_FILES["thin"], limit=limit)
