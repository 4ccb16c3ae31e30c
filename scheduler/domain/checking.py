"""What only the whole of a process type shows: names, order, and what expressions speak of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.domain import expressions, known_shapes, order, rendering
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
from scheduler.domain.expression_types import LIST, TEXT, Kinds, Scope, in_words, infer
from scheduler.domain.expressions import SCOPES
from scheduler.domain.fields import NOTHING, Field, Path
from scheduler.domain.known_shapes import PART_OF_TEXT, WANTED
from scheduler.domain.names import suggestion
from scheduler.domain.sections import Cursor, Section
from scheduler.domain.templates import Placed

Tasks = Sequence[TaskDefinition]
Cursors = Sequence[Cursor]

OF_UNDO = frozenset({"output"})
OF_HOOKS = frozenset({"error", "failed"})
AT_THE_START = frozenset({"input", "vars", "run"})


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
    """False where nobody can say who comes before whom."""
    by_name = {task.name: cursor for task, cursor in zip(tasks, cursors, strict=True)}
    outside, sound = order.handlers(tasks), True
    for task in tasks:
        _check_join(task, by_name[task.name])
        if task.name in outside and task.needs:
            at(by_name[task.name], "needs").fail(
                "this task handles a failure and runs only then: leave 'needs' out"
            )
            sound = False
        if task.name in outside and task.after != "success":
            at(by_name[task.name], "when").fail(
                "this task handles a failure, which is its condition already"
            )
    if way := order.cycle(tasks):
        at(by_name[way[1]], "needs").fail(
            f"these wait for each other: {' → '.join(way)}; let one of them not wait"
        )
        sound = False
    return sound


def _check_join(task: TaskDefinition, cursor: Cursor) -> None:
    if task.join.count is not None and task.join.count > max(1, len(task.needs)):
        at(cursor, "join").fail(
            f"{task.join.count} of {len(task.needs)} can never succeed: lower the count"
        )


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


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose expressions are looked at: what they may speak of, and what is known of that."""

    over: Over
    shapes: Scope
    also: frozenset[str] = NOTHING
    scopes: frozenset[str] = SCOPES


def check_expressions(process_type: ProcessType, section: Section) -> None:
    closed = closed_fields(process_type.input_schema)
    lenient = section.cursor.faults.lenient
    for cursor, field, speaker in Parts(process_type, section):
        for path, template in field.templates():
            for placed in template.placed:
                faults = list(_faults(field, placed, speaker, closed))
                if not faults and not lenient:
                    wanted = WANTED[field.wants] if template.whole else PART_OF_TEXT
                    faults = list(_type_faults(placed, speaker.shapes, wanted))
                _tell(faults, placed, at(cursor, *path))


class Parts:
    """Every part of a type that may hold expressions, with its place and what it may speak of."""

    def __init__(self, process_type: ProcessType, section: Section) -> None:
        self.type = process_type
        self.section = section
        self.before = order.Before(process_type.tasks)
        self.known = frozenset(task.name for task in process_type.tasks)
        self.shapes = known_shapes.scope_of(process_type)

    def __iter__(self) -> Iterator[tuple[Cursor, Field, Speaker]]:
        cursors = self.section.entries["tasks"].items()
        for task, cursor in zip(self.type.tasks, cursors, strict=True):
            yield from self.of_task(task, cursor)
        for name, hook in self.type.hooks.items():
            begins = name == "start"
            speaker = self.speaker(nothing=begins, also=NOTHING if begins else OF_HOOKS)
            yield from of_part(hook, at(self.section.cursor, "hooks", name), speaker)
        yield from self.of_type()

    def of_task(
        self, task: TaskDefinition, cursor: Cursor
    ) -> Iterator[tuple[Cursor, Field, Speaker]]:
        yield from of_part(task, cursor, self.speaker(task))
        if task.undo:
            own = frozenset({"item"}) if task.for_each else NOTHING
            undoing = self.speaker(task, itself=True, also=OF_UNDO | own)
            yield from of_part(task.undo, at(cursor, "undo"), undoing)

    def of_type(self) -> Iterator[tuple[Cursor, Field, Speaker]]:
        cursor = self.section.cursor
        if self.type.concurrency:
            speaker = self.speaker(nothing=True, scopes=AT_THE_START)
            yield cursor, rendering.group_field(self.type.concurrency.key), speaker
        if self.type.result is not None:
            yield cursor, rendering.result_field(self.type.result), self.speaker()

    def speaker(
        self,
        task: TaskDefinition | None = None,
        *,
        nothing: bool = False,
        itself: bool = False,
        also: frozenset[str] = NOTHING,
        scopes: frozenset[str] = SCOPES,
    ) -> Speaker:
        over = Over(self.known, self.before, task, nothing=nothing, itself=itself)
        shapes = known_shapes.scope_for(task, self.shapes) if task else self.shapes
        return Speaker(over, shapes, also, scopes)


def of_part(
    task: TaskDefinition, cursor: Cursor, speaker: Speaker
) -> Iterator[tuple[Cursor, Field, Speaker]]:
    refuse_unpassable(task, cursor)
    yield from ((cursor, field, speaker) for field in rendering.fields(task))


def _tell(faults: Iterable[SyntaxFault], placed: Placed, where: Cursor) -> None:
    for fault in faults:
        where.fail(str(fault), part=placed.expression.text[fault.at :].split("\n")[0])


def _faults(
    field: Field, placed: Placed, speaker: Speaker, closed: frozenset[str] | None
) -> Iterable[SyntaxFault]:
    scopes = speaker.scopes | speaker.also | field.also
    yield from expressions.faults(placed.expression, scopes, secrets=field.secrets)
    for mention in expressions.mentions(placed.expression):
        if fault := speaker.over.fault(mention.name):
            yield SyntaxFault(fault, mention.at)
    yield from _input_faults(placed.expression.tree, closed)


def _type_faults(placed: Placed, shapes: Scope, wanted: Kinds) -> Iterator[SyntaxFault]:
    if placed.expression.secret is not None:
        return
    tree = placed.expression.tree
    shape, faults = infer(tree, shapes)
    yield from faults
    if not faults and not shape.kinds & wanted:
        yield SyntaxFault(_unwanted(wanted, shape.kinds), tree.at)


def _unwanted(wanted: Kinds, kinds: Kinds) -> str:
    said = f"{in_words(wanted)} is needed here, not {in_words(kinds)}"
    return f"{said}: join it with .join(',')" if LIST in kinds and TEXT in wanted else said


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
