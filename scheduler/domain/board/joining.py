"""What the tasks before a task say about it."""

from enum import Enum

from scheduler.domain.board import parking
from scheduler.domain.board.table import Table, calls_handler
from scheduler.domain.definitions import TaskDefinition
from scheduler.domain.states import TaskState
from scheduler.domain.tasks import Task

T = TaskState


class Edge(Enum):
    """What a task that ended is to one that needs it."""

    SUCCESS = "success"
    SKIP = "skip"
    FAIL = "fail"


def may_begin(table: Table, task: Task) -> bool | None:
    """Yes, never, or None while that is open."""
    before, callers = table.before(task), table.callers(task)
    if callers:
        return decided(any(calls_handler(each) for each in callers), task)
    if not before:
        return True
    definition = table.definition_of(task)
    if definition.after != "success":
        return None if task.open else condition_holds(table, task, definition)
    edges = [edge(each, task) for each in before if each.state.is_final]
    if definition.join.count is not None:
        return decided(edges.count(Edge.SUCCESS) >= definition.join.count, task)
    return None if task.open else Edge.SUCCESS in edges and Edge.FAIL not in edges


def decided(holds: bool, task: Task) -> bool | None:
    return True if holds else (None if task.open else False)


def condition_holds(table: Table, task: Task, definition: TaskDefinition) -> bool:
    match definition.after:
        case "on_failure":
            return any(edge(each, task) is Edge.FAIL for each in table.before(task))
        case "any_failed":
            return any(each.state is T.FAILED for each in ancestors(table, task))
    return True


def edge(task: Task, successor: Task) -> Edge:
    """Of a task that ended."""
    if task.state is T.SKIPPED:
        return Edge.SKIP
    if not task.passed:
        return Edge.FAIL
    if task.kind == "branch" and task.state is T.COMPLETED and went_elsewhere(task, successor):
        return Edge.SKIP
    return Edge.SUCCESS


def went_elsewhere(branch: Task, successor: Task) -> bool:
    """One that somebody marked as done without its having been asked goes everywhere."""
    call = branch.invocation
    return isinstance(call, dict) and "to" in call and successor.name not in call["to"]


def ancestors(table: Table, task: Task) -> list[Task]:
    found: dict[int, Task] = {}
    todo = [task]
    while todo:
        each = todo.pop()
        before = (*table.before(each), *table.callers(each))
        todo += [one for one in before if one.position not in found]
        found.update((one.position, one) for one in before)
    return list(found.values())


def stop_losers(table: Table, task: Task) -> list[Task]:
    """A join that has what it wants may do without what the others still do; who ended by that."""
    if not table.definition_of(task).join.stop_rest or task.role != "task":
        return []
    losers = [each for each in table.before(task) if is_loser(table, each)]
    return [each for loser in losers for each in let_go(table, loser, "nobody needs it any more")]


def is_loser(table: Table, task: Task) -> bool:
    """A task that is only for joins that have had what they want."""
    after = table.following(task)
    return (
        any(table.definition_of(each).join.stop_rest for each in after)
        and all(table.definition_of(each).join.count is not None for each in after)
        and all(may_begin(table, each) is True for each in after)
    )


def let_go(table: Table, task: Task, why: str) -> list[Task]:
    """Stop a task, and its items, though its run goes on; who ended at once."""
    if task.state.is_final:
        return []
    items = [each for each in table.items_of(task) if let_go(table, each, why)]
    if task.state is T.IN_PROGRESS or not parking.leave(table, task, "stop", why):
        if not task.is_ending:
            table.want(task, "stop")
        return []
    begun = bool(task.attempt or items)
    table.finish(task, T.STOPPED if begun else T.SKIPPED, passed=False)
    if task.role != "item":
        table.tell("task.stopped" if begun else "task.skipped", task, data={"why": why})
    return [task]
