"""The runs table. One function for each statement in sql/queries/runs.sql."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
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
    fetch_planned,
    fetch_row,
    fetch_rows,
)
from sql.statements import statements

RUNS = statements("runs")
NOTHING: Mapping[Any, Any] = {}
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
    parent_run: UUID | None = None
    parent_task: int | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which runs somebody wants to see; None stands for all."""

    type: str | None = None
    record: str | None = None
    states: Sequence[RunState] = ()
    labels: Mapping[str, str] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    finished_from: datetime | None = None
    finished_to: datetime | None = None
    error: str | None = None  # a part of it, in whatever case
    by: str | None = None  # a part of what started it
    longer: timedelta | None = None
    shorter: timedelta | None = None
    lowest: UUID | None = None
    below: UUID | None = None

    def values(self) -> dict[str, Any]:
        """One state is asked for by itself: only then are its runs read in their order."""
        one = len(self.states) == 1
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "labels": Jsonb(self.labels) if self.labels else None,
            "state": self.states[0] if one else None,
            "states": list(self.states) if self.states and not one else None,
        }


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
            "parent_run": new.parent_run,
            "parent_task": new.parent_task,
            "depth": new.depth,
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


async def write(
    conn: Conn, runs: Sequence[Run], results: Mapping[UUID, str | None] = NOTHING
) -> int:
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
        group_keys=[r.group_key for r in runs],
        admitted=[r.admitted for r in runs],
        totals=[r.total for r in runs],
        undoes=[r.undoes for r in runs],
        compensated=[r.compensated for r in runs],
        outputs=[results.get(r.id) for r in runs],
        output_changed=[r.id in results for r in runs],
    )


async def overdue(conn: Conn, limit: int) -> list[UUID]:
    return await fetch_column(conn, RUNS["overdue"], limit=limit)


async def get(conn: Conn, run: UUID) -> Row | None:
    return await fetch_row(conn, RUNS["get"], id=run)


async def page(conn: Conn, filter: Filter, *, limit: int, after: UUID | None = None) -> list[Row]:
    return await fetch_planned(conn, RUNS["page"], **filter.values(), limit=limit, after=after)


async def children(conn: Conn, run: UUID, *, limit: int, after: UUID | None = None) -> list[Row]:
    return await fetch_rows(conn, RUNS["children"], run=run, limit=limit, after=after)


async def horizon(
    conn: Conn, filter: Filter, *, most: int, after: UUID | None = None
) -> UUID | None:
    values = {**filter.values(), "after": after, "most": most}
    values["with_error"] = values.pop("error") is not None
    for row in await fetch_planned(conn, RUNS["horizon"], **values):
        found: UUID = row["id"]
        return found
    return None


async def reach(conn: Conn, filter: Filter, *, most: int, after: UUID | None = None) -> UUID | None:
    wanted = ("lowest", "below", "type", "record", "state", "states")
    values = {name: value for name, value in filter.values().items() if name in wanted}
    found = await fetch_planned(conn, RUNS["reach"], **values, after=after, most=most)
    return found[0]["id"] if found else None


async def count(conn: Conn, filter: Filter, most: int) -> int:
    [row] = await fetch_planned(conn, RUNS["count"], **filter.values(), after=None, most=most)
    return int(row["runs"])


async def named(conn: Conn, ids: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, RUNS["named"], ids=list(ids))


async def states(conn: Conn, ids: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, RUNS["states"], ids=list(ids))


async def change(conn: Conn, run: UUID, *, priority: int, labels: Mapping[str, str]) -> int:
    """The number of the event that is to tell of it."""
    row = await fetch_row(
        conn, RUNS["change"], id=run, priority=priority, labels=Jsonb(dict(labels))
    )
    return int(row["events"]) if row else 0


async def remember(conn: Conn, key: str, digest: str, run: UUID) -> bool:
    """False if the key is another run's already."""
    return bool(await fetch_column(conn, RUNS["remember"], key=key, digest=digest, run=run))


async def remembered(conn: Conn, key: str) -> Row | None:
    return await fetch_row(conn, RUNS["remembered"], key=key)


async def forget_keys(conn: Conn, age: timedelta) -> int:
    return await execute(conn, RUNS["forget_keys"], age=age)
