"""What follows what: needs and handlers of a list of tasks, and who comes before whom."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from operator import and_, or_

from scheduler.domain.definitions import Branch, TaskDefinition

Tasks = Sequence[TaskDefinition]

MOST_IN_A_ROW = 100  # conditions: each needs all before it, and who needs the last needs enough


def handlers(tasks: Tasks) -> frozenset[str]:
    """The tasks that run only when another one has failed for good."""
    return frozenset(task.on_failure.handler for task in tasks if task.on_failure.handler)


def branches(tasks: Tasks) -> dict[str, tuple[str, ...]]:
    """The branches that may choose a task, by its name."""
    found: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        if isinstance(task.work, Branch):
            targets = [*task.work.default, *(name for case in task.work.cases for name in case.to)]
            for name in dict.fromkeys(targets):
                found[name] = (*found.get(name, ()), task.name)
    return found


def in_list_order(tasks: Tasks) -> tuple[TaskDefinition, ...]:
    """Each task needs the one before it; handlers, and what a branch chooses, stand outside.

    After tasks with a condition the list goes on whether they ran or not, so what follows needs
    the last one without a condition as well.
    """
    chosen, called = branches(tasks), handlers(tasks)
    resolved: list[TaskDefinition] = []
    before: tuple[str, ...] = ()
    for task in tasks:
        is_outside = task.name in called or task.name in chosen
        resolved.append(replace(task, needs=chosen.get(task.name, ()) if is_outside else before))
        if not is_outside:
            rest = before[:MOST_IN_A_ROW] if has_condition(task) else ()
            before = (*rest, task.name)
    return tuple(resolved)


def has_condition(task: TaskDefinition) -> bool:
    return task.after != "success" or task.when is not None


def with_branches(tasks: Tasks) -> tuple[TaskDefinition, ...]:
    """What a branch may choose needs it, said or not."""
    chosen = branches(tasks)
    return tuple(
        replace(task, needs=tuple(dict.fromkeys((*task.needs, *chosen.get(task.name, ())))))
        for task in tasks
    )


def is_list(tasks: Tasks) -> bool:
    return all(a.needs == b.needs for a, b in zip(tasks, in_list_order(tasks), strict=True))


def parents(tasks: Tasks) -> dict[str, list[str]]:
    """Who must be over before a task may begin; those that call a handler come before it."""
    found = {task.name: list(task.needs) for task in tasks}
    for task in tasks:
        if task.on_failure.handler in found:
            found[task.on_failure.handler].append(task.name)
    return found


def first_come(tasks: Tasks) -> frozenset[str]:
    """The tasks that do not wait for all that they need."""
    counts = ((task, task.join.count) for task in tasks)
    return frozenset(t.name for t, count in counts if count is not None and count < len(t.needs))


def cycle(tasks: Tasks) -> list[str] | None:
    """One way round, each before the next, first and last the same; or None."""
    try:
        TopologicalSorter(parents(tasks)).prepare()
    except CycleError as error:
        way: list[str] = error.args[1]
        return way
    return None


class Before:
    """Who comes before whom; one bit for each task. There must be no cycle."""

    def __init__(self, tasks: Tasks) -> None:
        self.names = [task.name for task in tasks]
        self.positions = {name: number for number, name in enumerate(self.names)}
        before, first = parents(tasks), handlers(tasks) | first_come(tasks)
        self._perhaps: dict[str, int] = {}
        self._surely: dict[str, int] = {}
        for name in TopologicalSorter(before).static_order():
            self._perhaps[name] = self._joined(self._perhaps, before[name], every=True)
            # Of several tasks that call a handler, the first to fail is enough.
            self._surely[name] = self._joined(self._surely, before[name], every=name not in first)

    def ancestors(self, name: str) -> frozenset[str]:
        return self._named(self._perhaps[name])

    def descendants(self, name: str) -> frozenset[str]:
        bit = self.positions[name]
        return frozenset(other for other, bits in self._perhaps.items() if bits >> bit & 1)

    def is_surely_over(self, earlier: str, later: str) -> bool:
        return bool(self._surely[later] >> self.positions[earlier] & 1)

    def _joined(self, known: dict[str, int], names: list[str], *, every: bool) -> int:
        if not names:
            return 0
        return reduce(or_ if every else and_, (known[n] | 1 << self.positions[n] for n in names))

    def _named(self, bits: int) -> frozenset[str]:
        return frozenset(name for number, name in enumerate(self.names) if bits >> number & 1)
