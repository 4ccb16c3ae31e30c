"""Workflows whose code is to hear that it is stopped, also where nobody has them in hand."""

from scheduler.domain.board.table import Table
from scheduler.domain.definitions import WorkflowCall
from scheduler.domain.states import TaskState
from scheduler.domain.tasks import Task


def is_to_hear(table: Table, task: Task) -> bool:
    """What never began has nothing to clean up."""
    if task.kind != "workflow" or not task.attempt or task.wanted == "kill":
        return False
    work = table.definition_of(task).work
    return isinstance(work, WorkflowCall) and work.hears_stop


def waken(table: Table, task: Task) -> None:
    """Whoever serves it is told. It takes no place under a limit: nothing new comes of it."""
    if task.state is not TaskState.READY:
        table.move(task, TaskState.READY)
    table.want(task, "stop")
