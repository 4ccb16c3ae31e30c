"""What a new run's tasks are copied from, and who comes before and after whom."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from scheduler.domain import order, placement_reading, rendering
from scheduler.domain import templates as texts
from scheduler.domain.definitions import PARKED, ProcessType, TaskDefinition
from scheduler.domain.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTemplate:
    """A task row before there is a run; one for each task, in the order of the definition.

    `required` successes let it begin, `open` is how many predecessors it has. A handler has
    those that name it as predecessors, and one of their failures is the success it waits for;
    it is nobody's successor. Where successes alone do not decide, one more is required than
    there can be: when nothing before it is open any more, somebody looks.
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
    placement: dict[str, Any] | None = None  # where that is known beforehand


HOOK = "hook:"


def tasks_of(process_type: ProcessType) -> tuple[TaskDefinition, ...]:
    """What a run begins with: a start hook stands last, and comes before all others."""
    start = process_type.hooks.get("start")
    if start is None:
        return process_type.tasks
    hook = replace(start, name=hook_name("start"), needs=())
    called = order.handlers(process_type.tasks)
    rest = (
        task if task.needs or task.name in called else replace(task, needs=(hook.name,))
        for task in process_type.tasks
    )
    return (*rest, hook)


def hook_name(name: str) -> str:
    return HOOK + name


def templates(process_type: ProcessType) -> tuple[TaskTemplate, ...]:
    tasks = tasks_of(process_type)
    positions = {task.name: number for number, task in enumerate(tasks)}
    successors: dict[str, list[int]] = {name: [] for name in positions}
    callers = dict.fromkeys(positions, 0)
    for task in tasks:
        for need in task.needs:
            successors[need].append(positions[task.name])
        if task.on_failure.handler:
            callers[task.on_failure.handler] += 1
    judged = _judged(process_type, tasks)
    return tuple(
        _template(
            process_type,
            task,
            positions,
            tuple(successors[task.name]),
            callers[task.name],
            judged=task.name in judged,
        )
        for task in tasks
    )


def is_conditional(task: TaskDefinition) -> bool:
    """It has its say about how those before it ended, and may run in a run that fails."""
    return task.after != "success"


def counts_skipped(task: TaskDefinition) -> bool:
    """A predecessor that was skipped is none that the task still waits for."""
    return is_conditional(task) or task.join.count is None or task.join.count >= len(task.needs)


def kept(tasks: Sequence[TaskDefinition]) -> frozenset[str]:
    """What goes on in a run that fails: what has a condition, and what only follows on that."""
    before, conditional = order.parents(tasks), {t.name for t in tasks if is_conditional(t)}
    found: set[str] = set()
    for name in TopologicalSorter(before).static_order():
        if name in conditional or (before[name] and found.issuperset(before[name])):
            found.add(name)
    return frozenset(found)


def known_place(task: TaskDefinition) -> Place | None:
    """Where it is carried out, if every run says the same."""
    asked = task.placement
    if asked is None or asked.everywhere or asked.there:
        return None
    words = (asked.workstation or "", *asked.labels.values())
    if not all(texts.read(word).is_static for word in words):
        return None
    return rendering.place(asked, {})


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
    place = known_place(task)
    return TaskTemplate(
        position=positions[task.name],
        name=task.name,
        kind=task.kind,
        queue=place.queue if place else task.queue or process_type.queue,
        priority=process_type.priority if task.priority is None else task.priority,
        required=1 if callers else _required(task),
        open=callers or len(task.needs),
        successors=successors,
        handler=positions[handler] if handler else None,
        settles=settles,
        judged=judged,
        on_lost=task.on_lost,
        invocation=None if settles else rendering.render(task, {}),
        placement=placement_reading.row(task.placement, place)
        if task.placement and place
        else None,
    )


def _required(task: TaskDefinition) -> int:
    needs, count = len(task.needs), task.join.count
    if needs and (is_conditional(task) or (count is not None and count >= needs)):
        return needs + 1
    return needs if count is None else min(count, needs)


def _judged(process_type: ProcessType, tasks: Sequence[TaskDefinition]) -> frozenset[str]:
    """Those whose success means more than one success less for those that need them."""
    by_name = {task.name: task for task in tasks}
    callers = {task.name for task in tasks if task.on_failure.handler}
    judged = callers | {task.name for task in tasks if task.repeat}
    for task in tasks:
        kinds = {by_name[need].kind for need in task.needs}
        counts = task.join.count is not None
        # The last of them to end must know that the task is to be skipped; or which of them are
        # not needed any more; or that a branch which went elsewhere is no success for it.
        beside = len(task.needs) > 1 and not callers.isdisjoint(task.needs)
        if beside or (counts and (task.join.stop_rest or "branch" in kinds)):
            judged.update(task.needs)
    return frozenset(judged | (_last(tasks) if _has_an_end(process_type) else set()))


def _has_an_end(process_type: ProcessType) -> bool:
    """There is something to do between the last task and the end of a run that succeeds."""
    return process_type.result is not None or not {"success", "exit"}.isdisjoint(process_type.hooks)


def _last(tasks: Sequence[TaskDefinition]) -> set[str]:
    """Those of which one ends last, whatever happens."""
    needed = {need for task in tasks for need in task.needs}
    outrun = {need for task in tasks if task.join.count is not None for need in task.needs}
    return {task.name for task in tasks if task.name not in needed} | outrun


def _settles(process_type: ProcessType, task: TaskDefinition) -> bool:
    limited = process_type.max_parallel is not None or bool(task.limit or task.rate)
    expands = bool(task.when or task.for_each or task.repeat or task.share)
    waits = task.kind in PARKED or (process_type.concurrency is not None and not task.needs)
    expires = task.placement is not None and task.placement.start_before is not None
    return limited or expands or waits or expires or rendering.has_expressions(task)
