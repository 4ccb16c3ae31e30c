"""What people and programs may ask of runs. One transaction each."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import process_types as definitions
from scheduler.domain.board import Board
from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.ids import new_id
from scheduler.domain.process_types import ProcessType
from scheduler.domain.values import refuse_unstorable
from scheduler.domain.wakes import Wake
from scheduler.services import definitions as published
from scheduler.services import station_runs
from scheduler.services.catalog import Catalog
from scheduler.services.judging import Decide, judge
from scheduler.services.station_runs import Wanted
from scheduler.services.waking import notify
from scheduler.store import history, mirrors, runs
from scheduler.store.rows import Row
from scheduler.store.runs import Start

Conn = AsyncConnection[Any]

MOST_OUTPUT = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A wish to start a run."""

    type: str
    input: dict[str, Any]
    by: str
    version: int | None = None
    record: str | None = None
    priority: int | None = None
    labels: dict[str, str] | None = None
    key: str | None = None  # idempotency: the same key and wish give the same run


@dataclass(frozen=True, slots=True)
class Begun:
    id: UUID
    replayed: bool = False
    row: Row | None = None  # as it was when it began, where that is known


async def start(conn: Conn, catalog: Catalog, order: Order) -> Begun:
    async with conn.transaction():
        return await start_within(conn, catalog, order)


async def start_within(conn: Conn, catalog: Catalog, order: Order) -> Begun:
    """Start a run in the caller's transaction; whoever listens is told when that commits."""
    run = new_id()
    if order.key is not None and not await runs.remember(conn, order.key, digest(order), run):
        return await replay(conn, order)
    row = await published.startable(conn, order.type, order.version)
    definition = await catalog.get(conn, row["name"], row["version"])
    input = definitions.check_input(definition, order.input)
    wake = await insert(conn, catalog, new_run(definition, row["version"], order), [run], [input])
    await notify(conn, wake)
    return Begun(run)


async def require_startable(conn: Conn, catalog: Catalog, order: Order) -> None:
    """Refuse what a start would refuse, and start nothing."""
    row = await published.startable(conn, order.type, order.version)
    definition = await catalog.get(conn, row["name"], row["version"])
    definitions.check_input(definition, order.input)


async def start_many(
    conn: Conn, catalog: Catalog, order: Order, inputs: Sequence[dict[str, Any]]
) -> list[UUID]:
    """Start as many runs of one type as there are inputs: all of them or none."""
    async with conn.transaction():
        row = await published.startable(conn, order.type, order.version)
        definition = await catalog.get(conn, row["name"], row["version"])
        checked = [definitions.check_input(definition, each) for each in inputs]
        ids = [new_id() for _ in checked]
        new = new_run(definition, row["version"], order)
        await notify(conn, await insert(conn, catalog, new, ids, checked))
    return ids


def new_run(definition: ProcessType, version: int, order: Order) -> Start:
    if order.priority is not None and not 0 <= order.priority <= 9:
        raise Invalid(
            f"priority {order.priority} is not between 0 and 9; 9 is the most urgent",
            field="priority",
        )
    return Start(
        type=definition.name,
        version=version,
        priority=definition.priority if order.priority is None else order.priority,
        triggered_by=order.by,
        record=order.record,
        task_priority=order.priority,
        timeout=definition.timeout,
        labels={**definition.labels, **(order.labels or {})},
    )


async def insert(
    conn: Conn,
    catalog: Catalog,
    new: Start,
    ids: Sequence[UUID],
    inputs: Sequence[dict[str, Any]],
) -> Wake:
    started = await runs.start(conn, new, ids, inputs)
    wake = Wake()
    wake.add(runs=ids, queues=started.readied or (), due=new.timeout is not None)
    if open_questions := {*(started.unsettled or ()), *(started.limited or ())}:
        wake.merge(
            await judge(
                conn, catalog, sorted(open_questions), Board.look_again, by=new.triggered_by
            )
        )
    return wake


async def replay(conn: Conn, order: Order) -> Begun:
    found = await runs.remembered(conn, order.key or "")
    if found is None or found["digest"] != digest(order):
        raise used_before(order)
    return Begun(found["run_id"], replayed=True)


def used_before(order: Order) -> Conflict:
    return Conflict(
        f"the idempotency key {order.key!r} was used for another request: "
        "send the same request, or take a new key",
        field="Idempotency-Key",
    )


def digest(order: Order) -> str:
    wish = [order.type, order.version, order.record, order.priority, order.input, order.labels]
    return hashlib.sha256(json.dumps(wish, sort_keys=True).encode()).hexdigest()


async def change(
    conn: Conn,
    catalog: Catalog,
    run: UUID,
    decide: Decide,
    *,
    by: str,
    wanted: Wanted,
) -> Row:
    """Carry out one command on one run, under its lock. A workstation that decides about the run
    is asked for what is `wanted`, and does it when it hears of it."""
    async with conn.transaction():
        if not await runs.states(conn, [run]):
            raise NotFound(f"there is no run {run}")
        if (station := await mirrors.station_of(conn, run)) is not None:
            found = await get(conn, run)
            await notify(conn, await station_runs.ask(conn, station, found, wanted, by=by))
        else:
            await notify(conn, await judge(conn, catalog, [run], decide, by=by))
    return await get(conn, run)


async def hold(conn: Conn, catalog: Catalog, run: UUID, *, by: str, freeze: bool = False) -> Row:
    """With `freeze`, the commands in hand stand still until the run goes on."""
    wanted = Wanted("hold", data={"freeze": True}, needs="freeze") if freeze else Wanted("hold")
    return await change(
        conn, catalog, run, lambda board: board.hold(by, freeze=freeze), by=by, wanted=wanted
    )


async def resume(conn: Conn, catalog: Catalog, run: UUID, *, by: str) -> Row:
    wanted = Wanted("resume")
    return await change(conn, catalog, run, lambda board: board.resume(by), by=by, wanted=wanted)


async def stop(
    conn: Conn,
    catalog: Catalog,
    run: UUID,
    *,
    by: str,
    kill: bool = False,
    why: str | None = None,
    undo: bool = False,
) -> Row:
    """With `undo`, what was done is undone before the run ends."""

    def decide(board: Board) -> None:
        board.stop(by, kill=kill, why=why, undo=undo)

    wanted = Wanted("kill" if kill else "stop", why=why or f"stopped by {by}")
    if undo:
        wanted = replace(wanted, data={"undo": True}, needs="undo")
    return await change(conn, catalog, run, decide, by=by, wanted=wanted)


async def undo(conn: Conn, catalog: Catalog, run: UUID, *, by: str) -> Row:
    """Undo what a run that has ended did, or what of it could not be undone before."""
    wanted = Wanted("undo", needs="undo")
    return await change(
        conn, catalog, run, lambda board: board.compensate(by), by=by, wanted=wanted
    )


async def skip_task(
    conn: Conn, catalog: Catalog, run: UUID, task: str, *, by: str, why: str
) -> Row:
    """Go on without a task, by its name or its position."""
    wanted = Wanted("skip", why, {"task": task}, needs="skip")
    return await change(
        conn, catalog, run, lambda board: board.skip(by, task, why), by=by, wanted=wanted
    )


async def mark_task_done(
    conn: Conn, catalog: Catalog, run: UUID, task: str, output: Any, *, by: str, why: str
) -> Row:
    """Go on as if a task had succeeded with this output, because somebody says that it has."""
    refuse_unstorable(output, "the output")
    if len(json.dumps(output)) > MOST_OUTPUT:
        raise Invalid(
            f"the output has more than {MOST_OUTPUT} bytes: keep it elsewhere, and say where",
            field="output",
        )
    wanted = Wanted("done", why, {"task": task, "output": output}, needs="done")

    def decide(board: Board) -> None:
        board.mark_done(by, task, output, why)

    return await change(conn, catalog, run, decide, by=by, wanted=wanted)


async def retry(
    conn: Conn,
    catalog: Catalog,
    run: UUID,
    *,
    by: str,
    task: str | None = None,
    whole: bool = False,
    input: dict[str, Any] | None = None,
) -> Row:
    """Open a new round; with `input`, what is run again sees the new one."""
    found = await get(conn, run)
    definition = await catalog.get(conn, found["type"], found["type_version"])
    checked = None if input is None else definitions.check_input(definition, input)

    def decide(board: Board) -> None:
        if checked is not None:
            board.run.input = checked
        board.retry(by, task=task, whole=whole)

    given = {"task": task, "whole": whole, "input": checked}
    data = {name: value for name, value in given.items() if value is not None and value != ""}
    return await change(
        conn, catalog, run, decide, by=by, wanted=Wanted("retry", data=data, needs="retry")
    )


async def get(conn: Conn, run: UUID) -> Row:
    found = await runs.get(conn, run)
    if found is None:
        raise NotFound(f"there is no run {run}: `procession runs` lists what there is")
    return found


async def events(conn: Conn, run: UUID, *, after: int = 0, limit: int = 1000) -> list[Row]:
    await get(conn, run)
    return await history.of_run(conn, run, after=after, limit=limit)
