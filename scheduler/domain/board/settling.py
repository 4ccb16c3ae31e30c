"""Filling in what tasks are made of, from what the tasks before them brought about."""

from collections.abc import Mapping
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain import rendering
from scheduler.domain.board import parked
from scheduler.domain.board.ending import settle_run
from scheduler.domain.board.following import ready
from scheduler.domain.board.outcomes import give_up
from scheduler.domain.board.table import Table
from scheduler.domain.errors import Invalid
from scheduler.domain.states import Reason
from scheduler.domain.tasks import Task

Scope = Mapping[str, Any]


def unsettled(table: Table) -> list[Task]:
    """What is to be rendered, and what is over with the decision that began it."""
    return [
        task
        for task in table.tasks.values()
        if task.reason is Reason.SETTLE or parked.is_over(table, task)
    ]


def settle(table: Table, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Render what waits to be rendered; `results` holds the tasks' results by name."""
    for task in unsettled(table):
        if task.reason is Reason.SETTLE:  # still: another's failure may have ended it
            settle_task(table, task, scope_of(table, results))
        elif parked.is_over(table, task):
            parked.due(table, task)
    settle_run(table)


def scope_of(table: Table, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    run = table.run
    return {
        "input": run.input,
        "vars": table.definition.vars,
        "tasks": results,
        "run": {
            "id": str(run.id),
            "type": run.type,
            "record": run.record_id,
            "round": run.round,
        },
    }


def settle_task(table: Table, task: Task, scope: Scope) -> None:
    definition = table.definition_of(task)
    try:
        task.invocation = rendering.render(definition, scope)
        keys = rendering.limit_keys(table.definition, definition, scope)
    except Invalid as fault:
        error = f"cannot be made ready: {fault}"
        give_up(table, task, Outcome(ending=Ending.FAILED, error=error, retryable=False))
        return
    task.limit_keys = [key for key, _ in keys]
    table.limit_sizes.update(keys)
    ready(table, task)
