"""The items of a task with `for_each`, while they are carried out."""

import math

from scheduler.domain.board.joining import let_go
from scheduler.domain.board.table import Table, in_items
from scheduler.domain.definitions import ForEach, TaskDefinition
from scheduler.domain.runs import Run
from scheduler.domain.tasks import Task


def failed(table: Table, item: Task) -> None:
    """An item has failed for good. Its task may be beyond hope by that, and want no more."""
    assert item.of is not None
    task, definition = table.tasks[item.of], table.definition_of(item)
    if not in_items(task) or not wants_no_more(definition):
        return
    items = table.items_of(task)
    if task.needed - task.open > len(items) - least(definition.for_each, len(items)):
        for each in items:
            let_go(table, each, f"too many items of {task.name} failed")


def wants_no_more(definition: TaskDefinition) -> bool:
    stops = definition.for_each is not None and definition.for_each.stop_rest
    return stops or definition.on_failure.kind == "stop_now"


def least(each: ForEach | None, count: int) -> int:
    """How many of so many items must succeed."""
    wanted = None if each is None else each.min_success
    if wanted is None:
        return count
    return math.ceil(count * wanted - 1e-9) if isinstance(wanted, float) else wanted


def limits_of(table: Table) -> list[str]:
    """The keys of the limits that were there for items of this run alone."""
    tasks = table.of_role("task")
    return [key(table.run, task) for task in tasks if parallel(table.definition_of(task))]


def parallel(definition: TaskDefinition) -> int | None:
    return definition.for_each.max_parallel if definition.for_each else None


def key(run: Run, task: Task) -> str:
    return f"each:{run.id}:{task.position}"
