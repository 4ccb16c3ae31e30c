"""Tasks that nobody claims: they wait for a time, an event, a person or another run.

Here they begin; `parked` says how they end.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from scheduler.domain.board.table import Table
from scheduler.domain.orders import (
    AskApproval,
    AwaitEvent,
    CloseApproval,
    EmitEvent,
    Inquire,
    StartChild,
    TakeMessage,
    TellChildren,
)
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

REASONS = frozenset({Reason.TIMER, Reason.SIGNAL, Reason.APPROVAL, Reason.CHILD})

Call = Mapping[str, Any]


def begin(table: Table, task: Task) -> None:
    """An attempt like any other, but in nobody's hands."""
    call: Call = task.invocation
    task.attempt += 1
    task.started_at, task.exit_code, task.error, task.wanted = table.now, None, None, None
    match task.kind:
        case "sleep":
            park(table, task, Reason.TIMER, wakes_at(call, table.now))
        case "wait_for":
            park(table, task, Reason.SIGNAL, deadline(call, table.now), on=call["event"])
            await_event(table, task)
        case "approval":
            park(table, task, Reason.APPROVAL, deadline(call, table.now))
            ask(table, task)
        case "process":
            park(table, task, Reason.CHILD, deadline(call, table.now), on=call["type"])
            start_child(table, task)
        case "emit":
            park(table, task, Reason.TIMER, table.now)
            emit(table, task)
        case "recv":
            park(table, task, Reason.SIGNAL, deadline(call, table.now), on=call["topic"])
            table.asked.orders.append(TakeMessage(task=task))
        case "get" | "result":
            park(table, task, Reason.SIGNAL, deadline(call, table.now), on=call["run"])
            table.asked.orders.append(inquiry(task))
        case _:
            park(table, task, Reason.TIMER, table.now)
    if table.run.state is RunState.PENDING:
        table.move_run(RunState.IN_PROGRESS, None)


def park(
    table: Table, task: Task, reason: Reason, due_at: datetime | None, *, on: str | None = None
) -> None:
    table.move(task, TaskState.WAITING, reason, due_at=due_at)
    task.blocked_on = on


def leave(table: Table, task: Task, want: str | None, why: str) -> bool:
    """Its run winds down. False if the task goes on: a child is asked to end, and then ends it."""
    if task.reason is Reason.APPROVAL:
        table.asked.orders.append(CloseApproval(task=task, why=why))
    if task.reason is not Reason.CHILD:
        return True
    task.due_at = None
    if want:
        task.wanted = want
        tell_children(table, task, want)
    table.touch(task)
    return False


def tell_children(table: Table, task: Task, verb: Any) -> None:
    table.asked.orders.append(TellChildren(task=task, verb=verb))


def wakes_at(call: Call, now: datetime) -> datetime:
    if call.get("until"):
        return datetime.fromisoformat(call["until"])
    return now + timedelta(seconds=call["seconds"])


def deadline(call: Call, now: datetime) -> datetime | None:
    limit = call.get("timeout")
    return None if limit is None else now + timedelta(seconds=limit)


def await_event(table: Table, task: Task) -> None:
    call: Call = task.invocation
    order = AwaitEvent(task=task, event=call["event"], key=call.get("key") or "")
    table.asked.orders.append(order)


def emit(table: Table, task: Task) -> None:
    call: Call = task.invocation
    order = EmitEvent(
        task=task, event=call["event"], key=call.get("key") or "", data=call.get("data")
    )
    table.asked.orders.append(order)


def inquiry(task: Task) -> Inquire:
    call: Call = task.invocation
    about, key = UUID(call["run"]), call.get("key")
    return Inquire(task=task, about=about, kind="value" if key else "end", name=key or "")


def ask(table: Table, task: Task) -> None:
    call: Call = task.invocation
    order = AskApproval(
        task=task,
        attempt=task.attempt,
        message=call["message"],
        who=tuple(call.get("who") or ()),
        form=call.get("form"),
        due_at=task.due_at,
    )
    table.asked.orders.append(order)


def start_child(table: Table, task: Task) -> None:
    call: Call = task.invocation
    order = StartChild(
        task=task,
        type=call["type"],
        version=call.get("version"),
        input=call.get("input") or {},
        labels=call.get("labels") or {},
        wait=call.get("wait", True),
    )
    table.asked.orders.append(order)
