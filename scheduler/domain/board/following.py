"""What the end of a task means for those that wait for it."""

from collections.abc import Iterable

from scheduler.domain.board import parking
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import PARKED
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState


def advance(table: Table, task: Task) -> None:
    """Tell those who wait for this task, and those who can no longer run because of it."""
    ended = [task]
    while ended:
        each = ended.pop()
        table.run.open -= 1
        table.touch_run()
        for position in each.successors:
            ended += lower(table, table.tasks[position], success=bool(each.passed))
        if each.handler is not None:
            ended += lower(table, table.tasks[each.handler], success=calls_handler(each))


def lower(table: Table, task: Task, *, success: bool) -> list[Task]:
    task.open -= 1
    task.needed = max(0, task.needed - success)
    table.touch(task)
    return consider(table, task)


def consider(table: Table, task: Task) -> list[Task]:
    """Make a task ready, or skip it, if its predecessors now say so; the skipped come back."""
    if task.state is not T.PENDING:
        return []
    if task.needed == 0:
        ready(table, task)
    elif task.open == 0:
        table.finish(task, T.SKIPPED, passed=False)
        table.tell("task.skipped", task)
        return [task]
    return []


def ready(table: Table, task: Task) -> None:
    if table.run.state in (R.HOLDING, R.HELD):
        table.move(task, T.WAITING, Reason.HOLD)
    elif task.settles and task.invocation is None:
        table.move(task, T.WAITING, Reason.SETTLE, due_at=table.now)
    elif task.kind in PARKED:
        parking.begin(table, task)
    elif task.limit_keys or task.queue in table.limited:
        table.move(task, T.WAITING, Reason.LIMIT)
    else:
        table.move(task, T.READY)
    if table.run.state is R.PENDING and task.state is T.READY:
        table.move_run(R.IN_PROGRESS, None)


def after(table: Table, positions: Iterable[int]) -> set[int]:
    """The positions of all that can only come after these."""
    found: set[int] = set()
    todo = list(positions)
    while todo:
        task = table.tasks[todo.pop()]
        following = [*task.successors, *([] if task.handler is None else [task.handler])]
        todo += [position for position in following if position not in found]
        found.update(following)
    return found


def derive(table: Table) -> None:
    """Compute every counter again from the states."""
    satisfied = dict.fromkeys(table.tasks, 0)
    unfinished = dict.fromkeys(table.tasks, 0)
    for task in table.tasks.values():
        for successor in task.successors:
            satisfied[successor] += bool(task.passed)
            unfinished[successor] += not task.state.is_final
        if task.handler is not None:
            satisfied[task.handler] += calls_handler(task)
            unfinished[task.handler] += not task.state.is_final
    for position, task in table.tasks.items():
        counters = (max(0, task.required - satisfied[position]), unfinished[position])
        if counters != (task.needed, task.open):
            task.needed, task.open = counters
            table.touch(task)
    table.run.open = sum(not task.state.is_final for task in table.tasks.values())
    table.run.failed = sum(task.state is T.FAILED for task in table.tasks.values())
    table.touch_run()


def calls_handler(task: Task) -> bool:
    """A task that failed for good, and whose failure goes to its handler."""
    return task.state is T.FAILED and not task.passed


def is_unresolved(task: Task) -> bool:
    return task.state is T.FAILED and not task.passed and task.handler is None
