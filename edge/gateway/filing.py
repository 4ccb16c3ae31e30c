"""Files that attempts left at a workstation: taken part by part, the run's once they are whole."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from edge.desk import Filed
from edge.messages import File, Frame, file_name
from executor.report import TYPE
from scheduler.store import station_files
from scheduler.store.workstations import Key

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """What is there of the files that a frame speaks of."""

    files: Mapping[str, int] = field(default_factory=dict)  # by `file_name`
    attempts: Mapping[str, int] = field(default_factory=dict)  # of all files of an attempt


async def stored(conn: Conn, station: int, frame: Frame, keys: Mapping[str, Key]) -> Stored:
    said = [each for each in frame.messages if isinstance(each, File) and each.attempt in keys]
    named = {(keys[each.attempt], each.number): each for each in said}
    asked = [(key, number, each.name) for (key, number), each in named.items()]
    rows = await station_files.stored(conn, station, asked) if asked else []
    files, attempts = {}, {}
    for row in rows:
        each = named[(row["task_id"], row["attempt"]), row["number"]]
        files[file_name(each.attempt, each.number)] = row["stored"]
        attempts[each.attempt] = row["filed"]
    return Stored(files, attempts)


async def keep(
    conn: Conn, station: int, filed: Sequence[Filed], keys: Mapping[str, Key]
) -> list[UUID]:
    """The runs that have a file more."""
    runs = []
    for each in filed:
        file = each.file
        if (key := keys.get(file.attempt)) is None:
            continue
        if file.data:
            await station_files.put(conn, station, key, file.number, file.offset, file.data)
        if each.is_whole and (run := await become_whole(conn, station, key, file)):
            runs.append(run)
    return runs


async def become_whole(conn: Conn, station: int, key: Key, file: File) -> UUID | None:
    kind = file.kind if file.kind and TYPE.fullmatch(file.kind) else None
    run = await station_files.whole(
        conn,
        station,
        key,
        file.number,
        name=file.name,
        type=kind,
        digest=bytes.fromhex(file.digest),
    )
    if run is None:
        about = {"attempt": file.attempt, "file": file.name}
        log.warning("a file of a workstation is there already, or not what it said", extra=about)
    return run
