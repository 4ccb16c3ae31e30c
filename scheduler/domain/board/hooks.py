"""What a type has to do when one of its runs ends, however that is."""

from scheduler.domain import graph
from scheduler.domain.board.rows import last_step
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import HookName
from scheduler.domain.states import RunState
from scheduler.domain.tasks import Task

R = RunState

OF_AN_END: dict[RunState, HookName] = {
    R.COMPLETED: "success",
    R.FAILED: "failure",
    R.STOPPED: "stop",
}


def begin(table: Table, end: RunState) -> bool:
    """Call the hooks of this end, once in a round; False if there are none to be called."""
    called = bool(of_this_round(table))
    names: list[HookName] = [] if called else [OF_AN_END[end], "exit"]
    due = [name for name in names if name in table.definition.hooks]
    for name in due:
        last_step(table, "hook", graph.hook_name(name), table.definition.hooks[name])
    if not due:
        return False
    table.run.due_at = None
    if end is not R.COMPLETED and table.run.state not in (R.STOPPING, R.COMPENSATING):
        table.move_run(R.STOPPING, None)
    return True


def of_this_round(table: Table) -> list[Task]:
    return [task for task in table.of_role("hook") if task.iteration == table.run.round]


def turn(hook: Task) -> bool:
    """The one that is for every end comes last."""
    return hook.name == graph.hook_name("exit")
