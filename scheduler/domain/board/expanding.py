"""One item of work for each element of a list or entry of a map, and what they came to together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain.board import evaluating, filling, items, placing
from scheduler.domain.board.filling import NOW
from scheduler.domain.board.outcomes import complete, give_up
from scheduler.domain.board.rows import new_row
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.states import Reason, TaskState
from scheduler.domain.tasks import Task

T = TaskState
Scope = Mapping[str, Any]
Element = dict[str, Any]

MOST_ITEMS = 10_000
LONGEST_KEY = 200
MOST_GATHERED = 1 << 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """The outputs of a task's items as one JSON text; None if they are too long together."""

    output: str | None
    size: int


def expand(table: Table, task: Task, scope: Scope) -> None:
    """Make the items; those of an earlier round that succeeded with the same value are kept."""
    definition = table.definition_of(task)
    assert definition.for_each is not None
    elements = list(elements_of(list_of(table, definition, scope)))
    known = {item.name: item for item in table.of_role("item") if item.of == task.position}
    wanted = {f"{task.name}[{label(element)}]": element for element in elements}
    for name, item in known.items():
        if name not in wanted:
            drop(table, item)
    begin = [prepare(table, task, known.get(name), name, wanted[name]) for name in wanted]
    begin = [item for item in begin if item.state is T.PENDING]
    if not begin:
        table.touch(task)
        gather_at_once(table, task, empty=not elements)
        return
    table.move(task, T.WAITING, Reason.ITEMS)
    task.needed = task.open = len(begin)
    table.tell("task.expanded", task, data={"items": len(elements), "begun": len(begin)})
    stagger = definition.placement.stagger if definition.placement else NOW
    for number, item in enumerate(begin):
        if item.state is T.PENDING:  # still: another's failure may have ended it
            filling.begin(table, item, {**scope, "item": item.item}, stagger * number)
    hold_back(table, task, begin)


def list_of(table: Table, definition: TaskDefinition, scope: Scope) -> Any:
    each = definition.for_each
    assert each is not None
    if each.stations:
        return placing.everywhere(table, definition, scope)
    return evaluating.value("for_each", each.items, scope)


def elements_of(found: Any) -> Iterator[Element]:
    if isinstance(found, Mapping):
        pairs = list(found.items())
    elif isinstance(found, list):
        pairs = [(None, value) for value in found]
    else:
        raise Invalid("for_each: neither a list nor a map", field="for_each")
    if len(pairs) > MOST_ITEMS:
        raise Invalid(
            f"for_each: {len(pairs)} items, and {MOST_ITEMS} is the most: "
            "let each item be a batch of them",
            field="for_each",
        )
    for index, (key, value) in enumerate(pairs):
        if key is not None and len(key) > LONGEST_KEY:
            raise Invalid(f"for_each: a key is longer than {LONGEST_KEY} characters")
        yield {"value": value, "index": index, "key": key}


def label(element: Element) -> str:
    return str(element["index"] if element["key"] is None else element["key"])


def drop(table: Table, item: Task) -> None:
    """An element that is none any more."""
    item.item = None
    if item.state.is_final:
        table.touch(item)
    else:
        table.finish(item, T.SKIPPED, passed=False)


def prepare(table: Table, task: Task, known: Task | None, name: str, element: Element) -> Task:
    if known is None:
        item = new_row(table, "item", name, table.definition_of(task), of=task.position)
        item.successors = [task.position]
        item.settles = item.judged = table.definition_of(task).repeat is not None
    elif known.state is T.COMPLETED and known.item and known.item["value"] == element["value"]:
        item = known
    else:
        item = known
        table.reopen(item)
    item.item = element
    table.touch(item)
    return item


def hold_back(table: Table, task: Task, begun: list[Task]) -> None:
    """Beyond what may run at a time there is no use in asking for a place."""
    parallel = items.parallel(table.definition_of(task))
    if parallel is not None:
        for item in [each for each in begun if each.reason is Reason.LIMIT][parallel:]:
            item.blocked_on = items.key(table.run, task)


def gather_at_once(table: Table, task: Task, *, empty: bool) -> None:
    """Nothing is to be done; what there is to gather is gathered like any other."""
    if empty:
        table.asked.outputs[task.id] = "[]"
        complete(table, task)
    else:
        task.needed = task.open = 0
        table.move(task, T.WAITING, Reason.ITEMS, due_at=table.now)


def gather(table: Table, task: Task, gathered: Gathered) -> None:
    """All items are over; was it enough?"""
    its, each = table.items_of(task), table.definition_of(task).for_each
    passed = sum(bool(item.passed) for item in its)
    keep_output(table, task, gathered)
    table.asked.spent_limits.append(items.key(table.run, task))
    if passed >= items.least(each, len(its)):
        complete(table, task)
    else:
        error = said(its, passed)
        give_up(table, task, Outcome(ending=Ending.FAILED, error=error, retryable=False))


def keep_output(table: Table, task: Task, gathered: Gathered) -> None:
    table.asked.outputs[task.id] = gathered.output
    if gathered.output is None:
        left = f"its items have {gathered.size} bytes of output together: {MOST_GATHERED} are kept"
        table.asked.notes[task.id] = {"output_left_out": left}


def said(its: list[Task], passed: int) -> str:
    failures = [item for item in its if item.state is T.FAILED]
    error = f"{len(its) - passed} of {len(its)} items did not succeed"
    if failures:
        first = failures[0]
        error += f", the first of them {first.name}: {first.error}"
    return error
