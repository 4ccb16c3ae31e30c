"""Runs that runs start: linked both ways, asked and answered without locking two of a family."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from executor.base import Ending, Outcome
from scheduler.domain import process_types
from scheduler.domain.errands import Errand
from scheduler.domain.errors import Invalid, NotFound, Refusal
from scheduler.domain.ids import new_id
from scheduler.domain.orders import StartChild, TellChildren
from scheduler.domain.states import RunState
from scheduler.domain.wakes import Wake
from scheduler.services import definitions
from scheduler.services.catalog import Catalog
from scheduler.store import errands, flows, runs
from scheduler.store.errands import Told
from scheduler.store.rows import Row
from scheduler.store.runs import Start

Conn = AsyncConnection[Any]

DEEPEST = 20  # generations: a type that starts itself comes to an end


@dataclass(frozen=True, slots=True)
class Begun:
    """What starting a child brings: perhaps an answer at once, and runs to be looked at."""

    answer: Errand | None = None
    wake: Wake = field(default_factory=Wake)
    unsettled: Sequence[UUID] = ()


async def start(conn: Conn, catalog: Catalog, order: StartChild) -> Begun:
    """Start a child in its parent's transaction."""
    try:
        return await _start(conn, catalog, order)
    except Refusal as fault:
        return Begun(_answer(order, {"error": f"cannot start {order.type!r}: {fault}"}))


async def _start(conn: Conn, catalog: Catalog, order: StartChild) -> Begun:
    parent = await _get(conn, order.task.run_id)
    if parent["depth"] >= DEEPEST:
        raise Invalid(f"runs start runs {DEEPEST} deep already: does a type start itself?")
    row = await definitions.get(conn, order.type, order.version)
    definition = await catalog.get(conn, row["name"], row["version"])
    new = Start(
        type=definition.name,
        version=row["version"],
        priority=definition.priority,
        triggered_by=f"run {parent['id']}",
        timeout=definition.timeout,
        labels={**definition.labels, **order.labels},
        parent_run=parent["id"],
        parent_task=order.task.id,
        depth=parent["depth"] + 1,
    )
    child, input = new_id(), process_types.check_input(definition, dict(order.input))
    started = await runs.start(conn, new, [child], [input])
    wake = Wake()
    wake.add(runs=[child], queues=started.readied or (), due=new.timeout is not None)
    open_questions = {*(started.unsettled or ()), *(started.limited or ())}
    answer = None if order.wait else _answer(order, {"child": str(child)})
    return Begun(answer, wake, sorted(open_questions))


async def _get(conn: Conn, run: UUID) -> Row:
    found = await runs.get(conn, run)
    if found is None:
        raise NotFound(f"there is no run {run}")
    return found


def _answer(order: StartChild, data: dict[str, Any]) -> Errand:
    return Errand(run_id=order.task.run_id, task_id=order.task.id, kind="child_started", data=data)


async def tell(conn: Conn, orders: Sequence[TellChildren]) -> bool:
    """Ask the children of tasks for something; True if there are any."""
    told = [Told(order.task.run_id, order.task.id, order.verb) for order in orders]
    return bool(told) and bool(await errands.tell_children(conn, told))


async def ending(conn: Conn, child: UUID) -> Outcome | None:
    """What a child's end is to the task that started it; None if it lives on in a new round."""
    run = await _get(conn, child)
    output = json.dumps({"run": str(child), "output": run["output"]})
    match RunState(run["state"]):
        case RunState.COMPLETED:
            return Outcome(ending=Ending.SUCCEEDED, output=output)
        case RunState.STOPPED:
            error = f"run {child} was stopped: {run['error']}"
            return Outcome(ending=Ending.FAILED, error=error, output=output, retryable=False)
        case RunState.FAILED:
            error = f"run {child} failed: {run['error']}"
            said = await flows.why_failed(conn, child)
            detail = None if said is None else {"error": said}
            return Outcome(ending=Ending.FAILED, error=error, output=output, detail=detail)
    return None


def started(data: Mapping[str, Any]) -> Outcome:
    """What it is to a task that does not wait that its child was started, or could not be."""
    if "error" in data:
        return Outcome(ending=Ending.FAILED, error=data["error"], retryable=False)
    return Outcome(ending=Ending.SUCCEEDED, output=json.dumps({"run": data["child"]}))
