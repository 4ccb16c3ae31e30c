"""What the screens of processes show. One function for each statement in
sql/queries/process_screens.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, fetch_planned, fetch_row, fetch_rows
from sql.statements import statements

SCREENS = statements("process_screens")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which types somebody wants to see; None stands for all."""

    text: str | None = None
    retired: bool | None = None
    labels: dict[str, str] | None = None

    def values(self) -> dict[str, Any]:
        labels = None if self.labels is None else Jsonb(self.labels)
        return {"text": self.text, "retired": self.retired, "labels": labels}


async def types(conn: Conn, filter: Filter, *, limit: int, after: str | None = None) -> list[Row]:
    return await fetch_planned(conn, SCREENS["types"], **filter.values(), limit=limit, after=after)


async def count_types(conn: Conn, filter: Filter, most: int) -> int:
    [row] = await fetch_planned(conn, SCREENS["count_types"], **filter.values(), most=most)
    return int(row["types"])


async def figures_of_types(conn: Conn, names: Sequence[str], each: int) -> dict[str, Row]:
    rows = await fetch_rows(conn, SCREENS["figures_of_types"], names=list(names), each=each)
    return {row["name"]: row for row in rows}


async def figures_of_records(conn: Conn, names: Sequence[str], each: int) -> dict[str, Row]:
    rows = await fetch_rows(conn, SCREENS["figures_of_records"], names=list(names), each=each)
    return {row["name"]: row for row in rows}


async def clocks_of_types(conn: Conn, names: Sequence[str]) -> dict[str, Row]:
    rows = await fetch_rows(conn, SCREENS["clocks_of_types"], names=list(names))
    return {row["of"]: row for row in rows}


async def clocks_of_records(conn: Conn, names: Sequence[str]) -> dict[str, Row]:
    rows = await fetch_rows(conn, SCREENS["clocks_of_records"], names=list(names))
    return {row["of"]: row for row in rows}


async def living_of_versions(conn: Conn, type: str, most: int) -> dict[int, int]:
    rows = await fetch_rows(conn, SCREENS["living_of_versions"], type=type, most=most)
    return {row["version"]: row["runs"] for row in rows}


async def revisions(conn: Conn, type: str, *, limit: int, below: int | None = None) -> list[Row]:
    return await fetch_rows(conn, SCREENS["revisions"], type=type, limit=limit, below=below)


async def cells(conn: Conn, runs: Sequence[UUID], each: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["cells"], runs=list(runs), each=each)


async def inputs_of_type(conn: Conn, name: str, *, among: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["inputs_of_type"], name=name, among=among, limit=limit)


async def inputs_of_record(conn: Conn, name: str, *, among: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["inputs_of_record"], name=name, among=among, limit=limit)


async def schedules(
    conn: Conn, *, limit: int, type: str | None = None, record: str | None = None
) -> list[Row]:
    return await fetch_rows(conn, SCREENS["schedules"], type=type, record=record, limit=limit)


async def queues(conn: Conn, names: Sequence[str], most: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["queues"], names=list(names), most=most)


async def places(conn: Conn, keys: Sequence[str]) -> dict[str, Row]:
    rows = await fetch_rows(conn, SCREENS["places"], keys=list(keys))
    return {row["key"]: row for row in rows}


async def waits(conn: Conn, type: str, among: int) -> list[float] | None:
    row = await fetch_row(conn, SCREENS["waits"], type=type, among=among)
    return row["seconds"] if row else None


async def letter_groups(conn: Conn, *, most: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["letter_groups"], most=most, limit=limit)


async def letters_of_groups(
    conn: Conn,
    fingerprints: Sequence[str],
    *,
    since: datetime,
    length: timedelta,
    parts: int,
    most: int,
) -> dict[str, list[int]]:
    rows = await fetch_rows(
        conn,
        SCREENS["letters_of_groups"],
        fingerprints=list(fingerprints),
        since=since,
        length=length,
        parts=parts,
        most=most,
    )
    return {row["fingerprint"]: row["counts"] for row in rows}


async def begun_in(conn: Conn, fingerprints: Sequence[str]) -> dict[str, Row]:
    rows = await fetch_rows(conn, SCREENS["begun_in"], fingerprints=list(fingerprints))
    return {row["fingerprint"]: row for row in rows}


async def held(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["held"], limit=limit)
