"""The tasks table. One function for each statement in sql/queries/tasks.sql."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.domain.board import Gathered
from scheduler.domain.results import Result, WithoutOutput
from scheduler.domain.tasks import Claimed, Task
from scheduler.store.rows import (
    Row,
    execute,
    fetch_all,
    fetch_column,
    fetch_row,
    fetch_rows,
    fetch_value,
)
from sql.statements import statements

TASKS = statements("tasks")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Success:
    """A plain success, as the recorder hands it to the database."""

    run_id: UUID
    task_id: int
    attempt: int
    exit_code: int | None
    output: str | None
    detail: str | None
    ended_at: datetime | None = None  # if that was long before it was told


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one batch of successes brought about."""

    closed: frozenset[int]
    completed: Sequence[UUID]
    unsettled: Sequence[UUID]
    limited: Sequence[int]
    readied: Sequence[str]
    freed: bool
    taken: Sequence[Claimed]


async def claim(
    conn: Conn, queue: str, *, holder: int, floors: Sequence[int], limit: int
) -> list[Claimed]:
    return await fetch_all(
        conn, Claimed, TASKS["claim"], queue=queue, holder=holder, floors=floors, limit=limit
    )


async def record(
    conn: Conn,
    holder: int,
    batch: Sequence[Success],
    *,
    keep: int = 0,
    best: int = 0,
    queues: Sequence[str] = (),
) -> Recorded:
    cursor = await conn.execute(
        TASKS["record"], record_values(holder, batch, keep=keep, best=best, queues=queues)
    )
    return recorded(await cursor.fetchone())


def record_values(
    holder: int, batch: Sequence[Success], *, keep: int, best: int, queues: Sequence[str]
) -> dict[str, Any]:
    return {
        "holder": holder,
        "runs": [each.run_id for each in batch],
        "tasks": [each.task_id for each in batch],
        "attempts": [each.attempt for each in batch],
        "exit_codes": [each.exit_code for each in batch],
        "outputs": [each.output for each in batch],
        "details": [each.detail for each in batch],
        "ended_ats": [each.ended_at for each in batch],
        "keep": keep,
        "best": best,
        "queues": list(queues),
    }


def recorded(row: tuple[Any, ...] | None) -> Recorded:
    closed, completed, unsettled, limited, readied, freed, taken = row or (None,) * 7
    return Recorded(
        frozenset(closed or ()),
        completed or (),
        unsettled or (),
        limited or (),
        readied or (),
        bool(freed),
        [taken_task(each) for each in taken or ()],
    )


def taken_task(values: Sequence[Any]) -> Claimed:
    task, run, name, kind, attempt, on_lost, invocation, queue, place, ready_seq = values
    return Claimed(
        id=task,
        run_id=UUID(run),
        name=name,
        kind=kind,
        attempt=attempt,
        on_lost=on_lost,
        invocation=invocation,
        queue=queue,
        rank=place,
        ready_seq=ready_seq,
    )


async def in_hand(conn: Conn, holder: int) -> list[Claimed]:
    return await fetch_all(conn, Claimed, TASKS["in_hand"], holder=holder)


async def wanted(conn: Conn, holder: int) -> list[tuple[int, int, Any]]:
    cursor = await conn.execute(TASKS["wanted"], {"holder": holder})
    return await cursor.fetchall()


async def lock_of_runs(conn: Conn, runs: Sequence[UUID]) -> list[Task]:
    return await fetch_all(conn, Task, TASKS["lock_of_runs"], runs=list(runs))


async def lock(conn: Conn, ids: Sequence[int]) -> list[int]:
    return await fetch_column(conn, TASKS["lock"], ids=list(ids))


async def results(conn: Conn, run: UUID) -> dict[str, Result]:
    rows = await fetch_rows(conn, TASKS["results"], run=run)
    return {row["name"]: result_of(row) for row in rows}


def result_of(row: Row) -> Result:
    told = {
        "status": row["state"],
        "exit_code": row["exit_code"],
        "output": row["output"],
        "error": row["error"],
        "started_at": moment(row["started_at"]),
        "finished_at": moment(row["finished_at"]),
    }
    return told if row["left_out"] is None else WithoutOutput(told, row["left_out"])


def moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


async def gathered(
    conn: Conn, run: UUID, positions: Sequence[int], most: int
) -> dict[int, Gathered]:
    if not positions:
        return {}
    rows = await fetch_rows(conn, TASKS["gathered"], run=run, positions=list(positions), most=most)
    return {row["position"]: Gathered(row["output"], int(row["size"])) for row in rows}


async def outputs(conn: Conn, run: UUID, positions: Sequence[int]) -> dict[int, Any]:
    if not positions:
        return {}
    rows = await fetch_rows(conn, TASKS["outputs"], run=run, positions=list(positions))
    return {row["position"]: row["output"] for row in rows}


async def add(conn: Conn, tasks: Sequence[Task]) -> dict[tuple[UUID, int], int]:
    """The new ids, by run and position."""
    rows = await fetch_rows(conn, TASKS["add"], rows=json.dumps([new_row(t) for t in tasks]))
    return {(row["run_id"], row["position"]): row["id"] for row in rows}


def new_row(task: Task) -> Row:
    """There may be ten thousand: what is null is not said."""
    row = {
        "run_id": str(task.run_id),
        "position": task.position,
        "name": task.name,
        "kind": task.kind,
        "state": task.state,
        "reason": task.reason,
        "blocked_on": task.blocked_on,
        "due_at": moment(task.due_at),
        "queue": task.queue,
        "rank": task.rank,
        "required": task.required,
        "needed": task.needed,
        "open": task.open,
        "passed": task.passed,
        "successors": task.successors,
        "settles": task.settles,
        "judged": task.judged,
        "on_lost": task.on_lost,
        "limit_keys": task.limit_keys,
        "attempt": task.attempt,
        "wanted": task.wanted,
        "invocation": task.invocation,
        "error": task.error,
        "started_at": moment(task.started_at),
        "finished_at": moment(task.finished_at),
        "role": task.role,
        "of": task.of,
        "item": task.item,
        "iteration": task.iteration,
        "share": task.share,
        "placement": task.placement,
    }
    return {name: value for name, value in row.items() if value is not None}


async def note(conn: Conn, notes: Mapping[int, Mapping[str, Any]]) -> None:
    await execute(
        conn, TASKS["note"], ids=list(notes), notes=[Jsonb(each) for each in notes.values()]
    )


async def write(conn: Conn, tasks: Sequence[Task], outputs: Mapping[int, str | None]) -> list[Row]:
    return await fetch_rows(
        conn,
        TASKS["write"],
        ids=[t.id for t in tasks],
        states=[t.state for t in tasks],
        reasons=[t.reason for t in tasks],
        blocked_on=[t.blocked_on for t in tasks],
        due_at=[t.due_at for t in tasks],
        ranks=[t.rank for t in tasks],
        needed=[t.needed for t in tasks],
        open=[t.open for t in tasks],
        passed=[t.passed for t in tasks],
        limit_keys=[json.dumps(t.limit_keys) for t in tasks],
        attempts=[t.attempt for t in tasks],
        counted=[t.counted for t in tasks],
        lost=[t.lost for t in tasks],
        holders=[t.holder for t in tasks],
        wanted=[t.wanted for t in tasks],
        invocations=[None if t.invocation is None else Jsonb(t.invocation) for t in tasks],
        exit_codes=[t.exit_code for t in tasks],
        errors=[t.error for t in tasks],
        outputs=[outputs.get(t.id) for t in tasks],
        output_changed=[t.id in outputs for t in tasks],
        started_at=[t.started_at for t in tasks],
        finished_at=[t.finished_at for t in tasks],
        shares=[t.share for t in tasks],
        items=[None if t.item is None else Jsonb(t.item) for t in tasks],
        iterations=[t.iteration for t in tasks],
        queues=[t.queue for t in tasks],
        placements=[None if t.placement is None else Jsonb(t.placement) for t in tasks],
    )


async def promote(conn: Conn, runs: Sequence[UUID]) -> list[str]:
    return await fetch_column(conn, TASKS["promote"], runs=list(runs))


async def due_runs(conn: Conn, limit: int) -> list[UUID]:
    return await fetch_column(conn, TASKS["due_runs"], limit=limit)


async def next_due(conn: Conn) -> float | None:
    """Seconds until the earliest due time."""
    seconds: float | None = await fetch_value(conn, TASKS["next_due"])
    return seconds


async def of_holders(conn: Conn, holders: Sequence[int], limit: int) -> list[Row]:
    return await fetch_rows(conn, TASKS["of_holders"], holders=list(holders), limit=limit)


async def gone_holders(conn: Conn) -> list[int]:
    return await fetch_column(conn, TASKS["gone_holders"])


async def of_run(conn: Conn, run: UUID, *, limit: int = 1000, offset: int = 0) -> list[Row]:
    return await fetch_rows(conn, TASKS["of_run"], run=run, limit=limit, offset=offset)


async def get(conn: Conn, task: int) -> Row | None:
    return await fetch_row(conn, TASKS["get"], task=task)


async def set_rank(conn: Conn, run: UUID, place: int) -> int:
    return await execute(conn, TASKS["set_rank"], run=run, rank=place)


async def adopt(
    conn: Conn, holder: int, incarnation: str, known: Collection[str] = ()
) -> list[int]:
    """`known` are the attempts, by key, that the runner at hand can tell about."""
    return await fetch_column(
        conn, TASKS["adopt"], holder=holder, incarnation=incarnation, known=list(known)
    )
