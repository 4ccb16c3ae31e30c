"""Filling in what a task is made of."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain import rendering
from scheduler.domain.board import items, placing
from scheduler.domain.board.following import ready
from scheduler.domain.board.outcomes import give_up
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import ProcessType
from scheduler.domain.errors import Invalid
from scheduler.domain.states import Reason, TaskState
from scheduler.domain.tasks import Task

Scope = Mapping[str, Any]
NOW = timedelta()


def begin(table: Table, task: Task, scope: Scope, delay: timedelta = NOW) -> None:
    """Render a task and make it ready; what cannot be rendered has failed."""
    try:
        fill(table, task, scope)
    except Invalid as fault:
        refuse(table, task, fault)
    else:
        if delay:
            table.move(task, TaskState.WAITING, Reason.TIMER, due_at=table.now + delay)
        else:
            ready(table, task)


def fill(table: Table, task: Task, scope: Scope) -> None:
    definition = table.definition_of(task)
    task.invocation = rendering.render(definition, scope)
    keys = rendering.limit_keys(type_for(table, task), definition, scope)
    if task.role == "item" and task.of is not None and (size := items.parallel(definition)):
        keys.append((items.key(table.run, table.tasks[task.of]), size))
    if rate := rendering.rate_key(definition, scope):
        keys.append(window(table, *rate))
    task.limit_keys = [key for key, _ in keys]
    task.share = rendering.share(definition, scope)
    placing.place(table, task, scope)
    table.limit_sizes.update(keys)


def type_for(table: Table, task: Task) -> ProcessType:
    """A workflow has its type's place while it waits for what it called."""
    if task.role != "call":
        return table.definition
    return replace(table.definition, max_parallel=None)


def window(table: Table, key: str, size: int, per: timedelta) -> tuple[str, int]:
    """Windows of another length are other limits."""
    name = f"rate:{per.total_seconds():g}:{key}"
    table.limit_windows[name] = per
    return name, size


def refuse(table: Table, task: Task, fault: Invalid) -> None:
    error = f"cannot be made ready: {fault}"
    give_up(table, task, Outcome(ending=Ending.FAILED, error=error, retryable=False))
