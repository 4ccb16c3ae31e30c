"""What a process type says about the values that its expressions will speak of."""

from collections.abc import Mapping

from scheduler.domain import expression_types as types
from scheduler.domain import templates
from scheduler.domain.definitions import ProcessType, TaskDefinition
from scheduler.domain.expression_types import (
    ANY,
    BOOLEAN,
    EVERY,
    LIST,
    MAP,
    NULL,
    NUMBER,
    TEXT,
    Kinds,
    Scope,
    Shape,
    list_of,
    map_of,
    of,
)

# What may stand where an expression is all there is; elsewhere it becomes part of a text.
WANTED: Mapping[str, Kinds] = {
    "": EVERY,
    "text": EVERY - {NULL},
    "word": EVERY - {NULL, LIST},
    "boolean": frozenset({BOOLEAN}),
    "items": frozenset({LIST, MAP}),
    "duration": frozenset({TEXT, NUMBER}),
}
PART_OF_TEXT = EVERY - {NULL}

_MAYBE_TEXT, _MAYBE_NUMBER = of(TEXT, NULL), of(NUMBER, NULL)
_RUN = map_of(
    id=of(TEXT),
    type=of(TEXT),
    record=_MAYBE_TEXT,
    round=of(NUMBER),
    labels=of(MAP),
    started_at=_MAYBE_TEXT,
)
_EVENT = map_of(type=of(TEXT), key=of(TEXT), source=of(TEXT), id=of(TEXT), time=of(TEXT))
_HTTP = Shape(frozenset({MAP, NULL}), {"status": of(NUMBER), "headers": of(MAP)})
_OUTPUTS = {
    "text": _MAYBE_TEXT,
    "lines": Shape(frozenset({LIST, NULL}), items=of(TEXT)),
    "json": ANY,
    "none": ANY,
}


def scope_of(process_type: ProcessType) -> dict[str, Shape]:
    """Of every expression of the type; tasks by name, each with its results."""
    schema = process_type.input_schema
    scope = {
        "input": types.of_schema({**(schema or {}), "type": "object"}),
        "vars": of(MAP),
        "run": _RUN,
        "event": _EVENT,
        "iteration": of(NUMBER),
        "exit_code": _MAYBE_NUMBER,
        "error": _MAYBE_TEXT,
        "failed": list_of(of(TEXT)),
    }
    tasks = {task.name: results_of(task, scope) for task in process_type.tasks}
    return {**scope, "tasks": Shape(frozenset({MAP}), tasks)}


def scope_for(task: TaskDefinition, scope: Scope) -> Scope:
    """With what only this task may speak of: its own output, and the item that it is done for."""
    own: dict[str, Shape] = {"output": output_of(task)}
    if task.for_each:
        element = _items(task, scope).element
        own["item"] = map_of(value=element, index=of(NUMBER), key=_MAYBE_TEXT)
    return {**scope, **own}


def results_of(task: TaskDefinition, scope: Scope) -> Shape:
    return map_of(
        output=_gathered(task, scope) if task.for_each else output_of(task),
        exit_code=_MAYBE_NUMBER,
        status=of(TEXT),
        error=_MAYBE_TEXT,
        started_at=_MAYBE_TEXT,
        finished_at=_MAYBE_TEXT,
    )


def output_of(task: TaskDefinition) -> Shape:
    if task.kind == "http":
        return _HTTP
    return _OUTPUTS[task.output] if task.kind == "run" else ANY


def _gathered(task: TaskDefinition, scope: Scope) -> Shape:
    kinds = _items(task, scope).kinds & {LIST, MAP}
    one = output_of(task)
    return Shape(kinds | {NULL}, items=Shape(one.kinds | {NULL}, one.fields, one.items))


def _items(task: TaskDefinition, scope: Scope) -> Shape:
    if task.for_each and task.for_each.stations:
        return Shape(frozenset({MAP}), items=of(TEXT))  # by the names of the workstations
    whole = templates.read(task.for_each.items).whole if task.for_each else None
    found = types.infer(whole.tree, scope)[0] if whole else ANY
    return found if found.kinds & {LIST, MAP} else ANY
