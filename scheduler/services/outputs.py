"""What an attempt printed: how much there is, and the stored bytes from an offset on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import NotFound
from scheduler.services import runs as run_service
from scheduler.store import attempts, output, run_tasks, tasks
from scheduler.store.output import Chunk
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

PATIENCE = timedelta(seconds=60)
CHUNKS = 16  # of 64 KiB at most: what is read at once


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the output of an attempt is stored, and whether more may come."""

    size: int
    dropped: int
    is_over: bool


async def task_of(conn: Conn, run: UUID, name: str) -> Row:
    """A task of a run, by its name or else by its position."""
    await run_service.get(conn, run)
    task = await run_tasks.by_name(conn, run, name)
    found = None if task is None else await tasks.get(conn, task)
    if found is None:
        raise NotFound(f"run {run} has no task {name!r}: `procession show {run}` lists them")
    return found


async def attempts_of(conn: Conn, task: Row) -> list[Row]:
    """Those that are over, and the one in hand."""
    over = await attempts.of_task(conn, task["id"])
    recorded = {row["number"] for row in over}
    if task["state"] == "IN_PROGRESS" and task["attempt"] not in recorded:
        return [*over, in_hand(task, await run_service.get(conn, task["run_id"]))]
    return over


def in_hand(task: Row, run: Row) -> Row:
    return {
        "number": task["attempt"],
        "round": run["round"],
        "state": "STARTED",
        "counted": False,
        "started_at": task["started_at"],
        "finished_at": None,
        "exit_code": None,
        "output": None,
        "error": None,
        "detail": None,
    }


async def extent(conn: Conn, task: int, number: int) -> Extent:
    """Asked in this order: when an attempt of a worker is over, all that it printed is stored. Of
    a workstation's its output comes after its result, unless nothing is heard of it any more."""
    found = await tasks.get(conn, task)
    if found is None or not 1 <= number <= found["attempt"]:
        raise NotFound(f"this task has no attempt {number}")
    is_over = found["state"] != "IN_PROGRESS" or number < found["attempt"]
    closed = await ended(conn, task, number)
    detail = (closed["detail"] if closed else None) or {}
    [end] = await output.ends(conn, [(task, number)])
    is_whole = end.stored >= int(detail.get("printed", 0)) or (closed is None or is_old(closed))
    return Extent(end.stored, int(detail.get("dropped", 0)), is_over and is_whole)


def is_old(attempt: Row) -> bool:
    """What has not come by now comes later, or never: nobody waits for it."""
    ended_at: datetime | None = attempt["finished_at"]
    return ended_at is None or datetime.now(UTC) - ended_at > PATIENCE


async def ended(conn: Conn, task: int, number: int) -> Row | None:
    """The attempt as it was recorded; None while it goes on, and if it was given back."""
    over = await attempts.of_task(conn, task)
    return next((row for row in over if row["number"] == number), None)


async def read(conn: Conn, task: int, number: int, start: int) -> list[Chunk]:
    """Stored parts from `start` on, in order; the first may begin before it."""
    return await output.read(conn, task, number, start=start, limit=CHUNKS)
