"""What the end of a task means for those that wait for it."""

from collections.abc import Iterable, Sequence

from scheduler.domain.board import parking, placing
from scheduler.domain.board.joining import may_begin, stop_losers
from scheduler.domain.board.table import Table, in_items
from scheduler.domain.definitions import PARKED
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState


def advance(table: Table, task: Task) -> None:
    """Tell those who wait for this task, and those who can no longer run because of it."""
    if task.role == "call":
        waken(table, task)
        return
    ended = [task]
    while ended:
        for successor in table.following(ended.pop()):
            ended += consider(table, successor)


def waken(table: Table, call: Task) -> None:
    """A call is over: its workflow goes on, if it has nothing else to do."""
    assert call.of is not None
    workflow = table.tasks[call.of]
    if workflow.reason is Reason.CALLS:
        ready(table, workflow)


def consider_all(table: Table) -> None:
    """After what changed more than the end of one task does."""
    for task in table.of_role("task"):
        for ended in consider(table, task):
            advance(table, ended)


def consider(table: Table, task: Task) -> Sequence[Task]:
    """Make a task ready, or skip it, if its predecessors now say so; who ended by that."""
    if in_items(task):
        if task.open == 0:
            table.move(task, T.WAITING, Reason.ITEMS, due_at=table.now)
        return ()
    if task.state is not T.PENDING or not table.goes_on(task):
        return ()
    begins = may_begin(table, task)
    if begins is None:
        return ()
    if not begins:
        return skip(table, task)
    ready(table, task)
    return stop_losers(table, task)


def skip(table: Table, task: Task, **data: str) -> list[Task]:
    """A task that will not run, and its items, if it had any, with it."""
    skipped = [each for each in table.items_of(task) if not each.state.is_final] + [task]
    for each in skipped:
        table.finish(each, T.SKIPPED, passed=False)
    table.tell("task.skipped", task, data=data or None)
    return [task]


def ready(table: Table, task: Task) -> None:
    if table.run.state in (R.HOLDING, R.HELD):
        table.move(task, T.WAITING, Reason.HOLD)
    elif task.settles and task.invocation is None:
        table.move(task, T.WAITING, Reason.SETTLE, due_at=table.now)
    elif not table.run.admitted:
        table.move(task, T.WAITING, Reason.LIMIT)
        task.blocked_on = table.run.group_key
    elif task.kind in PARKED and task.placement is None:
        parking.begin(table, task)
    else:
        offer(table, task)
    if table.run.state is R.PENDING and task.state is T.READY:
        table.move_run(R.IN_PROGRESS, None)


def offer(table: Table, task: Task) -> None:
    """Somebody is to take it, as soon as it has its places."""
    placing.open_window(table, task)
    if task.limit_keys or task.queue in table.limited:
        table.move(task, T.WAITING, Reason.LIMIT)
    else:
        table.move(task, T.READY)


def after(table: Table, positions: Iterable[int]) -> set[int]:
    """The positions of all that can only come after these."""
    found: set[int] = set()
    todo = list(positions)
    while todo:
        following = {each.position for each in table.following(table.tasks[todo.pop()])}
        todo += following - found
        found |= following
    return found


def is_unresolved(task: Task) -> bool:
    return task.state is T.FAILED and not task.passed and task.handler is None
