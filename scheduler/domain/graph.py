"""What a new run's tasks are copied from, and who comes before and after whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.domain import order, rendering
from scheduler.domain.definitions import PARKED, ProcessType, TaskDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTemplate:
    """A task row before there is a run; one for each task, in the order of the definition.

    `required` successes let it begin, `open` is how many predecessors it has. A handler has
    those that name it as predecessors, and one of their failures is the success it waits for;
    it is nobody's successor.
    """

    position: int
    name: str
    kind: str
    queue: str
    priority: int
    required: int
    open: int
    successors: tuple[int, ...]
    handler: int | None  # the position of the task that a failure of this one calls
    settles: bool  # Python must look before it can be READY
    judged: bool  # even its plain success needs the judge
    on_lost: str
    invocation: dict[str, Any] | None  # where it need not be settled; {} for a noop


def templates(process_type: ProcessType) -> tuple[TaskTemplate, ...]:
    positions = {task.name: number for number, task in enumerate(process_type.tasks)}
    successors: dict[str, list[int]] = {name: [] for name in positions}
    callers = dict.fromkeys(positions, 0)
    for task in process_type.tasks:
        for need in task.needs:
            successors[need].append(positions[task.name])
        if task.on_failure.handler:
            callers[task.on_failure.handler] += 1
    judged = _judged(process_type.tasks)
    return tuple(
        _template(
            process_type,
            task,
            positions,
            tuple(successors[task.name]),
            callers[task.name],
            judged=task.name in judged,
        )
        for task in process_type.tasks
    )


def ancestors(process_type: ProcessType, name: str) -> frozenset[str]:
    """All that may run before the task; for a handler, those that call it as well."""
    return order.Before(process_type.tasks).ancestors(name)


def descendants(process_type: ProcessType, name: str) -> frozenset[str]:
    return order.Before(process_type.tasks).descendants(name)


def _template(
    process_type: ProcessType,
    task: TaskDefinition,
    positions: dict[str, int],
    successors: tuple[int, ...],
    callers: int,
    *,
    judged: bool,
) -> TaskTemplate:
    handler = task.on_failure.handler
    settles = _settles(process_type, task)
    return TaskTemplate(
        position=positions[task.name],
        name=task.name,
        kind=task.kind,
        queue=task.queue or process_type.queue,
        priority=process_type.priority if task.priority is None else task.priority,
        required=1 if callers else len(task.needs),
        open=callers or len(task.needs),
        successors=successors,
        handler=positions[handler] if handler else None,
        settles=settles,
        judged=judged,
        on_lost=task.on_lost,
        invocation=None if settles else rendering.render(task, {}),
    )


def _judged(tasks: Sequence[TaskDefinition]) -> frozenset[str]:
    """Those that call a handler; and those that another task needs besides one that may come to
    nothing while the run goes on: the last of them to end must know that it is to be skipped.
    """
    called, before = order.handlers(tasks), order.Before(tasks)
    callers = {task.name for task in tasks if task.on_failure.handler}
    may_be_nothing = {
        task.name
        for task in tasks
        if (called | callers) & {task.name, *before.ancestors(task.name)}
    }
    needed_beside = {
        need for task in tasks for need in task.needs if may_be_nothing & {*task.needs} - {need}
    }
    return frozenset(callers | needed_beside)


def _settles(process_type: ProcessType, task: TaskDefinition) -> bool:
    limited = process_type.max_parallel is not None or task.limit is not None
    return limited or task.kind in PARKED or rendering.has_expressions(task)
