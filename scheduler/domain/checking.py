"""What only the whole of a process type shows: names, order, and what expressions speak of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.domain import expressions, order, rendering
from scheduler.domain.definitions import Branch, ProcessType, TaskDefinition
from scheduler.domain.expression_syntax import (
    Index,
    Literal,
    Member,
    Name,
    SyntaxFault,
    Tree,
    children,
)
from scheduler.domain.expressions import SCOPES
from scheduler.domain.fields import Field, Path
from scheduler.domain.names import suggestion
from scheduler.domain.sections import Cursor, Section
from scheduler.domain.templates import Placed

Tasks = Sequence[TaskDefinition]
Cursors = Sequence[Cursor]

OF_UNDO = frozenset({"output", "exit_code"})
OF_HOOKS = frozenset({"error", "failed"})
INPUT_ALONE = frozenset({"input", "vars"})


def names_are_sound(tasks: Tasks, cursors: Cursors) -> bool:
    """Every name is there, is used once, and whoever is named exists."""
    before = len(cursors[0].faults.found)
    known = {task.name for task in tasks if task.name}
    seen: dict[str, int] = {}
    for number, (task, cursor) in enumerate(zip(tasks, cursors, strict=True)):
        if task.name in seen:
            at(cursor, "name").fail(f"{task.name!r} is the name of tasks[{seen[task.name]}] too")
        seen.setdefault(task.name, number)
        for path, name in named(task):
            if name not in known:
                at(cursor, *path).fail(_no_task(name, known - {task.name}))
    return before == len(cursors[0].faults.found) and all(task.name for task in tasks)


def named(task: TaskDefinition) -> Iterator[tuple[Path, str]]:
    """Whom it names, and where."""
    yield from ((("needs", number), name) for number, name in enumerate(task.needs))
    if task.on_failure.handler:
        yield ("on_failure", "handler"), task.on_failure.handler
    if isinstance(task.work, Branch):
        for number, case in enumerate(task.work.cases):
            for place, name in enumerate(case.to):
                yield ("branch", "cases", number, "to", place), name
        for place, name in enumerate(task.work.default):
            yield ("branch", "default", place), name


def order_is_sound(tasks: Tasks, cursors: Cursors) -> bool:
    by_name = {task.name: cursor for task, cursor in zip(tasks, cursors, strict=True)}
    before = len(cursors[0].faults.found)
    outside = order.handlers(tasks)
    for task in tasks:
        cursor = by_name[task.name]
        if task.name in outside and task.needs:
            at(cursor, "needs").fail(
                "this task handles a failure and runs only then: leave 'needs' out"
            )
        if task.name in outside and task.after != "success":
            at(cursor, "when").fail("this task handles a failure, which is its condition already")
        if task.join.count is not None and task.join.count > max(1, len(task.needs)):
            at(cursor, "join").fail(
                f"{task.join.count} of {len(task.needs)} can never succeed: lower the count"
            )
    if way := order.cycle(tasks):
        at(by_name[way[1]], "needs").fail(
            f"these wait for each other: {' → '.join(way)}; let one of them not wait"
        )
    return before == len(cursors[0].faults.found)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whoever's expressions are looked at: whom it is called, and who is over by then."""

    called: str
    over: "Over"
    also: frozenset[str] = frozenset()
    scopes: frozenset[str] = SCOPES


@dataclass(frozen=True, slots=True)
class Over:
    """Which tasks may be spoken of."""

    known: frozenset[str]
    before: order.Before
    task: TaskDefinition | None = None  # None: all of them are over
    nothing: bool = False  # none of them has begun
    itself: bool = False

    def fault(self, name: str) -> str | None:
        if name not in self.known:
            others = self.known - ({self.task.name} if self.task else set())
            return _no_task(name, others)
        if self.nothing:
            return f"no task has begun by then, so {name!r} cannot be spoken of: use 'input'"
        task = self.task
        # Of those that it needs itself a task may speak even if it need not wait for all of them.
        if task is None or name in task.needs or (self.itself and name == task.name):
            return None
        if self.before.is_surely_over(name, task.name):
            return None
        return (
            f"task {name!r} is not sure to be over when {task.name!r} begins: "
            f"let {task.name!r} need it"
        )


def check_expressions(process_type: ProcessType, section: Section) -> None:
    before = order.Before(process_type.tasks)
    known = frozenset(task.name for task in process_type.tasks)
    closed = closed_fields(process_type.input_schema)
    for cursor, field, speaker in _parts(process_type, section, known, before):
        for path, placed in field.placed():
            where = at(cursor, *path)
            for fault in _faults(field, placed, speaker, closed):
                where.fail(str(fault), part=placed.expression.text[fault.at :].split("\n")[0])


def _parts(
    process_type: ProcessType, section: Section, known: frozenset[str], before: order.Before
) -> Iterator[tuple[Cursor, Field, Speaker]]:
    """Every part of a type that may hold expressions, with its place and what it may speak of."""
    whole = section.cursor
    for task, cursor in zip(process_type.tasks, section.entries["tasks"].items(), strict=True):
        speaker = Speaker(task.name, Over(known, before, task))
        yield from ((cursor, field, speaker) for field in rendering.fields(task))
        refuse_unpassable(task, cursor)
        if task.undo:
            undoer = Speaker(task.name, Over(known, before, task, itself=True), OF_UNDO)
            place = at(cursor, "undo")
            yield from ((place, field, undoer) for field in rendering.fields(task.undo))
            refuse_unpassable(task.undo, place)
    for name, hook in process_type.hooks.items():
        over = Over(known, before, nothing=name == "start")
        speaker = Speaker(hook.name, over, frozenset() if name == "start" else OF_HOOKS)
        place = at(whole, "hooks", name)
        yield from ((place, field, speaker) for field in rendering.fields(hook))
        refuse_unpassable(hook, place)
    if process_type.concurrency:
        over = Over(known, before, nothing=True)
        field = rendering.group_field(process_type.concurrency.key)
        yield whole, field, Speaker("concurrency", over, scopes=INPUT_ALONE)
    if process_type.result is not None:
        yield (
            whole,
            rendering.result_field(process_type.result),
            Speaker("result", Over(known, before)),
        )


def _faults(
    field: Field, placed: Placed, speaker: Speaker, closed: frozenset[str] | None
) -> Iterable[SyntaxFault]:
    scopes = speaker.scopes | speaker.also | field.also
    yield from expressions.faults(placed.expression, scopes, secrets=field.secrets)
    for mention in expressions.mentions(placed.expression):
        if fault := speaker.over.fault(mention.name):
            yield SyntaxFault(fault, mention.at)
    yield from _input_faults(placed.expression.tree, closed)


def refuse_unpassable(task: TaskDefinition, cursor: Cursor) -> None:
    """What is plain text can be tried here and now."""
    if cursor.faults.found or rendering.has_expressions(task):
        return
    try:
        rendering.render(task, {})
    except rendering.RenderFault as fault:
        cursor.fail(str(fault))


def closed_fields(schema: Mapping[str, Any] | None) -> frozenset[str] | None:
    """The names that an input can have at all, if the schema allows no others."""
    if schema is None or schema.get("additionalProperties") is not False:
        return None
    open_ended = {"patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if"} & schema.keys()
    return None if open_ended else frozenset(schema.get("properties", {}))


def _input_faults(tree: Tree, closed: frozenset[str] | None) -> Iterator[SyntaxFault]:
    if closed is None:
        return
    match tree:
        case Member(Name("input"), name, at) if name not in closed:
            yield SyntaxFault(f"the input has no {name!r}: {suggestion(name, closed)}", at)
        case Index(Name("input"), Literal(str() as name), at) if name not in closed:
            yield SyntaxFault(f"the input has no {name!r}: {suggestion(name, closed)}", at)
    for child in children(tree):
        yield from _input_faults(child, closed)


def _no_task(name: str, known: Iterable[str]) -> str:
    return f"there is no task {name[:64]!r}: {suggestion(name, known)}"


def at(cursor: Cursor, *path: str | int) -> Cursor:
    """The node at the end of the path, or the last one that is there."""
    for step in path:
        if isinstance(step, int) and isinstance(cursor.value, list) and step < len(cursor.value):
            cursor = cursor.items()[step]
        elif isinstance(step, str) and isinstance(cursor.value, dict) and step in cursor.value:
            cursor = cursor.entries()[step]
        else:
            return cursor
    return cursor
