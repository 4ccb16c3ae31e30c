"""From texts and stored documents to process types, with every fault named and placed."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain import checking, order
from scheduler.domain.definitions import PRIORITY, QUEUE, ProcessType, TaskDefinition
from scheduler.domain.documents import Node, UnreadableDocument, load, node_of, plain
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.inputs import check_schema
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.sections import (
    Cursor,
    Faults,
    Section,
    kind_of,
    matching,
    short_text,
    texts,
    whole,
)
from scheduler.domain.task_reading import duration, priority, queue_name, read_task

KEYS = (
    "name",
    "description",
    "input",
    "vars",
    "timeout",
    "priority",
    "queue",
    "max_parallel",
    "labels",
    "tasks",
)
MOST_TASKS = 5_000
STORED = "stored document"

type_name = matching(TYPE_NAME, TYPE_NAME_RULE)


def read_text(text: str, source: str) -> list[ProcessType]:
    faults = Faults(source)
    nodes = _load(text, faults)
    types = [_read(node, faults) for node in nodes]
    if not nodes and not faults.found:
        faults.add(None, "", "there is no process type in it: it needs at least 'name' and 'tasks'")
    _refuse_namesakes(types, nodes, faults)
    return _sound(types, faults)


def read_document(document: Mapping[str, Any]) -> ProcessType:
    faults = Faults(STORED)
    try:
        types = [_read(node_of(dict(document)), faults)]
    except UnreadableDocument as fault:
        raise InvalidDefinition([f"{STORED}: {fault}"]) from None
    return _sound(types, faults)[0]


def _load(text: str, faults: Faults) -> list[Node]:
    try:
        return [node for node in load(text) if node.value is not None]
    except UnreadableDocument as fault:
        faults.add(fault.mark, "", str(fault))
        return []


def _sound(types: list[ProcessType], faults: Faults) -> list[ProcessType]:
    if faults.found:
        raise InvalidDefinition(faults.lines())
    return types


def _refuse_namesakes(types: list[ProcessType], nodes: list[Node], faults: Faults) -> None:
    seen: set[str] = set()
    for process_type, node in zip(types, nodes, strict=True):
        if process_type.name and process_type.name in seen:
            faults.add(node.mark, "name", f"{process_type.name!r} is defined twice in this file")
        seen.add(process_type.name)


def _read(node: Node, faults: Faults) -> ProcessType:
    cursor = Cursor(node, "", faults)
    section = Section(cursor, KEYS)
    schema = section.take("input", input_schema, None)
    return ProcessType(
        name=section.need("name", type_name, ""),
        description=section.take("description", short_text, ""),
        input_schema=schema,
        tasks=section.need("tasks", lambda each: read_tasks(each, schema), ()),
        timeout=section.take("timeout", duration, None),
        priority=section.take("priority", priority, PRIORITY),
        queue=section.take("queue", queue_name, QUEUE),
        max_parallel=section.take("max_parallel", whole(1, 100_000), None),
        vars=section.take("vars", variables, {}),
        labels=section.take("labels", texts, {}),
    )


def read_tasks(cursor: Cursor, schema: Mapping[str, Any] | None) -> tuple[TaskDefinition, ...]:
    cursors = cursor.items()
    if not cursors:
        raise Invalid("at least one task is needed")
    if len(cursors) > MOST_TASKS:
        raise Invalid(f"at most {MOST_TASKS} tasks: start others as runs of their own")
    tasks = tuple(read_task(each) for each in cursors)
    is_graph = any(isinstance(c.value, dict) and "needs" in c.value for c in cursors)
    if not checking.names_are_sound(tasks, cursors):
        return tasks
    resolved = tasks if is_graph else order.in_list_order(tasks)
    if checking.order_is_sound(resolved, cursors):
        checking.check_expressions(resolved, cursors, schema)
    return resolved


def input_schema(cursor: Cursor) -> Mapping[str, Any] | None:
    if not isinstance(cursor.value, dict):
        raise Invalid(f"a JSON Schema is expected, not {kind_of(cursor.node)}")
    schema: dict[str, Any] = plain(cursor.node)
    return check_schema(schema)


def variables(cursor: Cursor) -> dict[str, Any]:
    return {name: plain(each.node) for name, each in cursor.entries().items()}
