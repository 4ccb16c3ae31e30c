"""Rows in a named state: boards without a database, and runs, holders and tasks in one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.sql import SQL

from executor.base import Ending, Outcome
from scheduler.domain import graph
from scheduler.domain.board import Board
from scheduler.domain.first_rows import first_row
from scheduler.domain.ids import new_id
from scheduler.domain.process_types import ProcessType, parse
from scheduler.domain.runs import Run
from scheduler.domain.states import RunState, TaskState
from scheduler.domain.tasks import RANKS, Claimed, Task
from scheduler.domain.wakes import Wake
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.loops.reaper import Reaper
from scheduler.recorder import Hooks, Keep, Recorder, Result
from scheduler.services import definitions, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.store import connections, holders, tasks
from scheduler.store.holders import Identity
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

NOW = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)
HOLDER = 7
LEASE = timedelta(seconds=60)
EVERYWHERE = [0] * RANKS

SUCCESS = Outcome(ending=Ending.SUCCEEDED, exit_code=0)
FAILURE = Outcome(ending=Ending.FAILED, exit_code=1)
PERMANENT = Outcome(ending=Ending.FAILED, error="no such program", retryable=False)
TIMED_OUT = Outcome(ending=Ending.TIMED_OUT, error="it took longer than 5 s")
STOPPED = Outcome(ending=Ending.STOPPED, error="stopped")
LOST = Outcome(ending=Ending.LOST, counted=False, error="nobody knows")


# Without a database


def a_type(text: str) -> ProcessType:
    return parse(text)[0]


def chain(name: str, *options: str) -> str:
    """A list of no-ops, one for each of `options`, which are YAML to go along: `, key: value`."""
    lines = [f"  - {{name: t{number}, noop: true{more}}}" for number, more in enumerate(options)]
    return "\n".join([f"name: {name}", "tasks:", *lines, ""])


def a_run(definition: ProcessType, **given: Any) -> Run:
    values: dict[str, Any] = {
        "id": new_id(),
        "type": definition.name,
        "type_version": 1,
        "record_id": None,
        "round": 1,
        "state": RunState.IN_PROGRESS,
        "ends_as": None,
        "priority": definition.priority,
        "input": {},
        "error": None,
        "total": len(graph.tasks_of(definition)),
        "open": len(graph.tasks_of(definition)),
        "failed": 0,
        "events": 1,
        "started_at": NOW,
        "finished_at": None,
        "timeout": definition.timeout,
        "due_at": NOW + definition.timeout if definition.timeout else None,
    }
    return Run(**values | given)


def its_tasks(run: Run, definition: ProcessType) -> list[Task]:
    return [a_task(run, template) for template in graph.templates(definition)]


def a_task(run: Run, template: graph.TaskTemplate) -> Task:
    return first_row(run, template, id=100 + template.position, now=NOW)


def a_board(definition: ProcessType | str, **given: Any) -> Board:
    """A run that has just begun, laid out."""
    if isinstance(definition, str):
        definition = a_type(definition)
    run = a_run(definition, **given)
    return Board(run, its_tasks(run, definition), definition, now=NOW, chance=0.0)


def task(board: Board, name: str) -> Task:
    return next(each for each in board.tasks.values() if each.name == name)


def claim(board: Board, name: str) -> Task:
    """What `claim` does to a row."""
    mine = task(board, name)
    assert mine.state is TaskState.READY, f"{name} is {mine.state}"
    mine.state, mine.holder, mine.started_at = TaskState.IN_PROGRESS, HOLDER, board.now
    mine.attempt += 1
    mine.exit_code = mine.error = None
    return mine


def end(board: Board, name: str, outcome: Outcome = SUCCESS) -> None:
    """Record the attempt in hand, or claim the task first."""
    mine = task(board, name)
    if mine.state is not TaskState.IN_PROGRESS:
        claim(board, name)
    assert board.record(mine.id, mine.attempt, HOLDER, outcome)


def states(board: Board) -> dict[str, str]:
    return {each.name: str(each.state) for each in board.tasks.values()}


# In a database


def engine(dsn: str) -> Any:
    """A connection as the loops and the workers have it."""
    return connections.connect(dsn, name="test", engine=True)


async def publish(conn: Conn, *texts: str) -> None:
    await definitions.publish(conn, [a_type(text) for text in texts], by="test")


async def start(conn: Conn, type: str, **more: Any) -> UUID:
    order = Order(type=type, input=more.pop("input", {}), by="test", **more)
    return (await runs.start(conn, Catalog(), order)).id


async def start_many(conn: Conn, type: str, count: int, **more: Any) -> list[UUID]:
    inputs: list[dict[str, Any]] = [{} for _ in range(count)]
    return await runs.start_many(
        conn, Catalog(), Order(type=type, input={}, by="test", **more), inputs
    )


async def a_holder(conn: Conn, name: str = "holder", lease: timedelta = LEASE) -> int:
    identity = Identity(
        name=name,
        kind="worker",
        incarnation=f"incarnation of {name}",
        host="here",
        pid=1,
        version="0",
        queues=["default"],
        slots=8,
    )
    return await holders.register(conn, identity, lease)


async def declare_gone(conn: Conn, *ids: int) -> None:
    """Their leases ended long ago, and somebody noticed."""
    await conn.execute(
        "update holders set lease_until = clock_timestamp() - interval '1 minute', state = 'GONE' "
        "where id = any(%s)",
        [list(ids)],
    )


async def claimed(
    conn: Conn, holder: int, limit: int = 1, *, queue: str = "default"
) -> list[Claimed]:
    return await tasks.claim(conn, queue, holder=holder, floors=EVERYWHERE, limit=limit)


@dataclass
class Told:
    """Hooks of a recorder that remember what they were told."""

    wake: Wake = field(default_factory=Wake)
    recorded: list[Result] = field(default_factory=list)
    taken: list[Claimed] = field(default_factory=list)
    most: int = 0  # successors that may stay in hand
    best: int = RANKS

    def hooks(self) -> Hooks:
        return Hooks(
            keep=lambda _: Keep(self.most, self.best, ["default"]),
            recorded=self.recorded.extend,
            taken=lambda _, taken: self.taken.extend(taken),
            stored=lambda _: None,
            wake=self.wake.merge,
        )


def a_recorder(holder: int, told: Told | None = None) -> Recorder:
    recorder = Recorder(Catalog(), (told or Told()).hooks())
    recorder.holder = holder
    return recorder


async def record(
    conn: Conn, holder: int, done: Sequence[Claimed], outcome: Outcome = SUCCESS
) -> Told:
    """Record the same outcome for all of them, as a recorder does in one batch."""
    told = Told()
    await a_recorder(holder, told)._record(conn, [Result(each, outcome) for each in done])
    return told


async def carry_out(conn: Conn, holder: int, outcome: Outcome = SUCCESS) -> list[str]:
    """Claim one task, end it so; its name in a list, or nothing."""
    mine = await claimed(conn, holder)
    await record(conn, holder, mine, outcome)
    return [each.name for each in mine]


def a_promoter() -> Promoter:
    return Promoter(Catalog(), Pulse(), lambda _: None)


def a_reaper(lease: timedelta = LEASE) -> Reaper:
    return Reaper(Catalog(), lease, Pulse(), lambda _: None)


async def one(conn: Conn, statement: str, *values: Any) -> Any:
    row = await (await conn.execute(SQL(statement), values)).fetchone()
    return row[0] if row else None


async def state_of(conn: Conn, run: UUID) -> str:
    return str(await one(conn, "select state::text from runs where id = %s", run))


async def tasks_of(conn: Conn, run: UUID) -> dict[str, Row]:
    return {row["name"]: row for row in await tasks.of_run(conn, run)}


async def states_of(conn: Conn, run: UUID) -> dict[str, str]:
    return {name: row["state"] for name, row in (await tasks_of(conn, run)).items()}
