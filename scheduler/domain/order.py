"""What follows what: needs and handlers of a list of tasks, and who comes before whom."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from scheduler.domain.definitions import TaskDefinition

Tasks = Sequence[TaskDefinition]


def handlers(tasks: Tasks) -> frozenset[str]:
    """The tasks that run only when another one has failed for good."""
    return frozenset(task.on_failure.handler for task in tasks if task.on_failure.handler)


def in_list_order(tasks: Tasks) -> tuple[TaskDefinition, ...]:
    """Each task needs the one before it; handlers stand outside of the list."""
    outside = handlers(tasks)
    resolved, before = [], None
    for task in tasks:
        if task.name in outside:
            resolved.append(replace(task, needs=()))
        else:
            resolved.append(replace(task, needs=(before,) if before else ()))
            before = task.name
    return tuple(resolved)


def is_list(tasks: Tasks) -> bool:
    return all(a.needs == b.needs for a, b in zip(tasks, in_list_order(tasks), strict=True))


def parents(tasks: Tasks) -> dict[str, set[str]]:
    """Who must be over before a task may begin, handled failures included."""
    found = {task.name: set(task.needs) for task in tasks}
    for task in tasks:
        if task.on_failure.handler in found:
            found[task.on_failure.handler].add(task.name)
    return found


def cycle(before: Mapping[str, Iterable[str]]) -> list[str] | None:
    """One way round, first and last the same, or None."""
    left = {name: {p for p in some if p in before} for name, some in before.items()}
    while free := [name for name, some in left.items() if not some]:
        left = {name: some.difference(free) for name, some in left.items() if some}
    if not left:
        return None
    path = [min(left)]
    while (step := min(left[path[-1]])) not in path:
        path.append(step)
    return [*path[path.index(step) :], step][::-1]


def sets(positions: Mapping[str, int], before: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """All that comes before each task, as bits by position. There must be no cycle."""
    found: dict[str, int] = {}
    left = {name: list(some) for name, some in before.items()}
    todo = list(left)
    while todo:
        name = todo[-1]
        missing = [parent for parent in left[name] if parent not in found]
        if missing:
            todo += missing
            continue
        todo.pop()
        found[name] = 0
        for parent in left[name]:
            found[name] |= found[parent] | 1 << positions[parent]
    return found


def ancestors_of(tasks: Tasks) -> dict[str, frozenset[str]]:
    names = [task.name for task in tasks]
    bits = sets({name: number for number, name in enumerate(names)}, parents(tasks))
    return {name: _names(bits[name], names) for name in names}


def _names(bits: int, names: Sequence[str]) -> frozenset[str]:
    return frozenset(name for number, name in enumerate(names) if bits >> number & 1)
