"""What was done is undone, the last of it first."""

from datetime import datetime

from scheduler.domain.board.rows import last_step
from scheduler.domain.board.table import Table
from scheduler.domain.runs import Compensated
from scheduler.domain.states import RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState

UNDO = "undo:"


def is_due(table: Table) -> bool:
    """The run fails, or is stopped by somebody who asked for this; and it has not been tried."""
    run = table.run
    asked = run.ends_as is R.FAILED or run.undoes
    tried = run.compensated is not None or of_this_round(table)
    return asked and not tried and bool(not_undone(table))


def begin(table: Table) -> None:
    run, tasks = table.run, not_undone(table)
    run.undoes, run.compensated = False, None
    for task in tasks:
        undo = table.definition_of(task).undo
        assert undo is not None
        last_step(table, "undo", UNDO + task.name, undo, task.position)
    table.move_run(R.COMPENSATING, "run.compensating", {"tasks": [task.name for task in tasks]})


def conclude(table: Table) -> None:
    """Say how much of what was begun in this round has been undone."""
    run = table.run
    if run.compensated is not None or not of_this_round(table):
        return
    left = [task.name for task in not_undone(table)]
    run.compensated = extent(table, left)
    if left:
        run.error = f"{run.error}; not undone: {', '.join(left)}"
    table.tell("run.compensated", data={"compensated": run.compensated, "not_undone": left})


def extent(table: Table, left: list[str]) -> Compensated:
    if not left:
        return "yes"
    return "partly" if undone(table) else "no"


def of_this_round(table: Table) -> list[Task]:
    return [task for task in table.of_role("undo") if task.iteration == table.run.round]


def not_undone(table: Table) -> list[Task]:
    """In the order in which they are to be undone."""
    over = {task.position for task in undone(table)}
    found = [task for task in undoable(table) if task.position not in over]
    return sorted(found, key=when_done, reverse=True)


def undone(table: Table) -> list[Task]:
    done = {task.of: task.finished_at for task in table.of_role("undo") if is_done(task)}
    return [
        task
        for task in undoable(table)
        if (at := done.get(task.position)) and task.finished_at and at >= task.finished_at
    ]


def undoable(table: Table) -> list[Task]:
    """Where a task has items, it is these that are undone."""
    if not any(definition.undo for definition in table.definitions.values()):
        return []
    return [
        task
        for task in table.of_role("task", "item")
        if is_done(task)
        and table.definition_of(task).undo
        and (task.role == "item" or table.definition_of(task).for_each is None)
    ]


def is_done(task: Task) -> bool:
    return task.state is T.COMPLETED


def when_done(task: Task) -> tuple[datetime | None, int]:
    return task.finished_at, task.position


def turn(table: Table, undo: Task) -> tuple[datetime | None, int]:
    assert undo.of is not None
    return when_done(table.tasks[undo.of])
