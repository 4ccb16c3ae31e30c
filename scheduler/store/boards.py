"""Boards: a run and its tasks, read under the run's lock, written back as decided."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.domain.board import Attempt, Changes, DeadLetter, Event
from scheduler.domain.runs import Run
from scheduler.domain.tasks import Task
from scheduler.store import runs, tasks
from scheduler.store.rows import execute
from sql.statements import statements

ATTEMPTS, HISTORY, LETTERS = (statements(t) for t in ("attempts", "history", "dead_letters"))
Conn = AsyncConnection[Any]
Said = TypeVar("Said", Event, DeadLetter)


async def load(conn: Conn, ids: Sequence[UUID]) -> list[tuple[Run, list[Task]]]:
    """Lock the runs in the order of their ids, then read them and their tasks as they now are."""
    boards: dict[UUID, tuple[Run, list[Task]]] = {
        run.id: (run, []) for run in await runs.lock_boards(conn, ids)
    }
    for task in await tasks.lock_of_runs(conn, list(boards)):
        boards[task.run_id][1].append(task)
    return list(boards.values())


async def write(conn: Conn, changes: Changes, *, by: str) -> None:
    if changes.redriven:
        await execute(conn, LETTERS["redriven"], runs=changes.redriven, by=by)
    if changes.new_tasks:
        name(changes, await tasks.add(conn, changes.new_tasks))
    if changes.tasks:
        await tasks.write(conn, changes.tasks, changes.outputs)
    if changes.notes:
        await tasks.note(conn, changes.notes)
    if changes.runs:
        await runs.write(conn, changes.runs, changes.results)
    if changes.attempts:
        await write_attempts(conn, changes.attempts)
    if changes.events:
        await write_events(conn, changes.events)
    if changes.letters:
        await write_letters(conn, changes.letters)


def name(changes: Changes, ids: Mapping[tuple[UUID, int], int]) -> None:
    """New tasks have ids now, and what was said of them before says so too."""
    known = {}
    for task in changes.new_tasks:
        known[task.run_id, task.id] = task.id = ids[task.run_id, task.position]
    changes.events = [named(each, known) for each in changes.events]
    changes.letters = [named(each, known) for each in changes.letters]


def named(said: Said, known: Mapping[tuple[UUID, int], int]) -> Said:
    if said.task_id is None or said.task_id >= 0:
        return said
    return replace(said, task_id=known[said.run_id, said.task_id])


async def write_attempts(conn: Conn, attempts: Sequence[Attempt]) -> None:
    await execute(
        conn,
        ATTEMPTS["write"],
        runs=[a.run_id for a in attempts],
        tasks=[a.task_id for a in attempts],
        numbers=[a.number for a in attempts],
        rounds=[a.round for a in attempts],
        states=[a.state for a in attempts],
        counted=[a.counted for a in attempts],
        holders=[a.holder for a in attempts],
        started_at=[a.started_at for a in attempts],
        finished_at=[a.finished_at for a in attempts],
        exit_codes=[a.exit_code for a in attempts],
        outputs=[a.output for a in attempts],
        errors=[a.error for a in attempts],
        details=[None if a.detail is None else json.dumps(a.detail) for a in attempts],
    )


async def write_events(conn: Conn, events: Sequence[Event]) -> None:
    await execute(
        conn,
        HISTORY["write"],
        runs=[e.run_id for e in events],
        seqs=[e.seq for e in events],
        kinds=[e.kind for e in events],
        tasks=[e.task_id for e in events],
        attempts=[e.attempt for e in events],
        data=[None if e.data is None else Jsonb(e.data) for e in events],
    )


async def write_letters(conn: Conn, letters: Sequence[DeadLetter]) -> None:
    await execute(
        conn,
        LETTERS["write"],
        runs=[d.run_id for d in letters],
        task_ids=[d.task_id for d in letters],
        rounds=[d.round for d in letters],
        types=[d.type for d in letters],
        tasks=[d.task for d in letters],
        errors=[d.error for d in letters],
        fingerprints=[d.fingerprint for d in letters],
    )
