"""What only the whole of a process type shows: names, order, and what expressions speak of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scheduler.domain import commands, expressions, order, rendering, templates
from scheduler.domain.definitions import TaskDefinition
from scheduler.domain.expression_syntax import (
    Index,
    Literal,
    Member,
    Name,
    SyntaxFault,
    Tree,
    children,
)
from scheduler.domain.names import suggestion
from scheduler.domain.sections import Cursor
from scheduler.domain.templates import Placed

Tasks = Sequence[TaskDefinition]
Cursors = Sequence[Cursor]


def names_are_sound(tasks: Tasks, cursors: Cursors) -> bool:
    """Every name is there, is used once, and whoever is named exists."""
    before = len(cursors[0].faults.found)
    known = {task.name for task in tasks if task.name}
    seen: dict[str, int] = {}
    for number, (task, cursor) in enumerate(zip(tasks, cursors, strict=True)):
        if task.name in seen:
            _at(cursor, "name").fail(f"{task.name!r} is the name of tasks[{seen[task.name]}] too")
        seen.setdefault(task.name, number)
        for item in _at(cursor, "needs").items() if task.needs else ():
            if isinstance(item.value, str) and item.value not in known:
                item.fail(_no_task(item.value, known - {task.name}))
        handler = task.on_failure.handler
        if handler and handler not in known:
            _at(cursor, "on_failure", "handler").fail(_no_task(handler, known - {task.name}))
    return before == len(cursors[0].faults.found) and all(task.name for task in tasks)


def order_is_sound(tasks: Tasks, cursors: Cursors) -> bool:
    by_name = {task.name: cursor for task, cursor in zip(tasks, cursors, strict=True)}
    outside = order.handlers(tasks)
    sound = True
    for task in tasks:
        if task.name in outside and task.needs:
            _at(by_name[task.name], "needs").fail(
                "this task handles a failure and runs only then: leave 'needs' out"
            )
            sound = False
    if way := order.cycle(tasks):
        _at(by_name[way[1]], "needs").fail(
            f"these wait for each other: {' → '.join(way)}; let one of them not wait"
        )
        sound = False
    return sound


def check_expressions(tasks: Tasks, cursors: Cursors, schema: Mapping[str, Any] | None) -> None:
    before = order.Before(tasks)
    known = {task.name for task in tasks}
    closed = closed_fields(schema)
    for task, cursor in zip(tasks, cursors, strict=True):
        refuse_unpassable(task, cursor)
        for where, placed in placed_in(task, cursor):
            found = [
                *expressions.faults(placed.expression),
                *_task_faults(placed, task.name, known, before),
                *_input_faults(placed.expression.tree, closed),
            ]
            for fault in found:
                where.fail(str(fault), part=placed.expression.text[fault.at :].split("\n")[0])


def refuse_unpassable(task: TaskDefinition, cursor: Cursor) -> None:
    """What is plain text can be tried here and now."""
    if rendering.has_expressions(task):
        return
    try:
        rendering.render(task, {})
    except rendering.RenderFault as fault:
        cursor.fail(str(fault))


def placed_in(task: TaskDefinition, cursor: Cursor) -> Iterator[tuple[Cursor, Placed]]:
    """Every expression of a task, with the place to complain about it."""
    match task.command:
        case commands.Split() as command:
            for word in commands.words(command):
                yield from ((_at(cursor, "run"), placed) for placed in word.placed)
        case commands.Argv(items):
            for where, item in zip(_at(cursor, "run").items(), items, strict=True):
                yield from ((where, placed) for placed in templates.read(item).placed)
    fields: list[tuple[tuple[str, ...], str | None]]
    fields = [(("cwd",), task.cwd), (("stdin",), task.stdin)]
    fields += [(("env", name), value) for name, value in task.env.items()]
    fields += [(("limit", "key"), task.limit.key if task.limit else None)]
    for path, text in fields:
        if text and "${{" in text:
            yield from ((_at(cursor, *path), placed) for placed in templates.read(text).placed)


def closed_fields(schema: Mapping[str, Any] | None) -> frozenset[str] | None:
    """The names that an input can have at all, if the schema allows no others."""
    if schema is None or schema.get("additionalProperties") is not False:
        return None
    open_ended = {"patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if"} & schema.keys()
    return None if open_ended else frozenset(schema.get("properties", {}))


def _task_faults(
    placed: Placed, name: str, known: set[str], before: order.Before
) -> Iterator[SyntaxFault]:
    for mention in expressions.mentions(placed.expression):
        if mention.name not in known:
            yield SyntaxFault(_no_task(mention.name, known - {name}), mention.at)
        elif not before.is_surely_over(mention.name, name):
            yield SyntaxFault(
                f"task {mention.name!r} is not sure to be over when {name!r} begins: "
                f"let {name!r} need it",
                mention.at,
            )


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


def _no_task(name: str, known: set[str]) -> str:
    return f"there is no task {name[:64]!r}: {suggestion(name, known)}"


def _at(cursor: Cursor, *path: str) -> Cursor:
    for key in path:
        entries = cursor.entries() if isinstance(cursor.value, dict) else {}
        if key not in entries:
            return cursor
        cursor = entries[key]
    return cursor
