"""From texts and stored documents to process types, with every fault named and placed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from scheduler.domain import checking, order
from scheduler.domain.definitions import (
    PRIORITY,
    QUEUE,
    Concurrency,
    HookName,
    Placement,
    ProcessType,
    TaskDefinition,
)
from scheduler.domain.documents import Node, UnreadableDocument, load, node_of, plain
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.placement_reading import placement
from scheduler.domain.readers import data, duration, priority, schema, template, type_name
from scheduler.domain.schedule_reading import schedules_at
from scheduler.domain.sections import (
    Cursor,
    Faults,
    Section,
    flag,
    kind_of,
    one_of,
    short_text,
    texts,
    whole,
)
from scheduler.domain.task_reading import hook_name, queue_name, read_apart, read_task
from scheduler.domain.trigger_reading import trigger_at

KEYS = (
    "name",
    "description",
    "input",
    "vars",
    "timeout",
    "priority",
    "queue",
    "on",
    "max_parallel",
    "labels",
    "tasks",
    "hooks",
    "concurrency",
    "undo_on_stop",
    "result",
    "schedules",
    "triggers",
)
HOOKS = get_args(HookName)
MOST_ENTRIES = 100  # schedules, or triggers
MOST_TASKS = 5_000
STORED = "stored document"


def read_text(text: str, source: str) -> list[ProcessType]:
    faults = Faults(source)
    nodes = _load(text, faults)
    types = [_read(node, faults) for node in nodes]
    if not nodes and not faults.found:
        faults.add(None, "", "there is no process type in it: it needs at least 'name' and 'tasks'")
    _refuse_namesakes(types, nodes, faults)
    return _sound(types, faults)


def read_document(document: Mapping[str, Any]) -> ProcessType:
    faults = Faults(STORED, lenient=True)
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
    usual = section.take("on", usual_place, None)
    found = ProcessType(
        name=section.need("name", type_name, ""),
        description=section.take("description", short_text, ""),
        input_schema=section.take("input", schema, None),
        tasks=section.need("tasks", lambda cursor: read_tasks(cursor, usual), ()),
        timeout=section.take("timeout", duration, None),
        priority=section.take("priority", priority, PRIORITY),
        queue=section.take("queue", queue_name, QUEUE),
        on=usual,
        max_parallel=section.take("max_parallel", whole(1, 100_000), None),
        vars=section.take("vars", variables, {}),
        labels=section.take("labels", texts, {}),
        hooks=section.take("hooks", hooks, {}),
        concurrency=section.take("concurrency", concurrency, None),
        undo_on_stop=section.take("undo_on_stop", flag, False),
        result=section.take("result", data, None),
        schedules=section.take("schedules", planned, ()),
        triggers=section.take("triggers", triggers, ()),
    )
    return checked(found, section)


def checked(found: ProcessType, section: Section) -> ProcessType:
    """The type with its order made explicit, and every fault that only the whole shows told."""
    if "tasks" not in section or not isinstance(section.entries["tasks"].value, list):
        return found
    cursors = section.entries["tasks"].items()
    if not found.tasks or not checking.names_are_sound(found.tasks, cursors):
        return found
    is_graph = any(isinstance(c.value, dict) and "needs" in c.value for c in cursors)
    in_order = order.with_branches if is_graph else order.in_list_order
    found = replace(found, tasks=in_order(found.tasks))
    if checking.order_is_sound(found.tasks, cursors):
        checking.check_expressions(found, section)
    return found


def usual_place(cursor: Cursor) -> Placement | None:
    """Where its tasks are carried out that can be placed, and do not say it themselves."""
    found = placement(cursor)
    if found and found.everywhere:
        raise Invalid("all is said of one task: write it there")
    return found and replace(found, implied=True)


def read_tasks(cursor: Cursor, usual: Placement | None = None) -> tuple[TaskDefinition, ...]:
    cursors = cursor.items()
    if not cursors:
        raise Invalid("at least one task is needed")
    if len(cursors) > MOST_TASKS:
        raise Invalid(f"at most {MOST_TASKS} tasks: start others as runs of their own")
    return tuple(read_task(each, usual) for each in cursors)


def hooks(cursor: Cursor) -> dict[HookName, TaskDefinition]:
    section = Section(cursor, HOOKS)
    found = {name: section.take(name, read_apart(hook_name(name)), None) for name in HOOKS}
    return {name: hook for name, hook in found.items() if hook is not None}


def concurrency(cursor: Cursor) -> Concurrency | None:
    section = Section(cursor, ("key", "max", "on_conflict"))
    on_conflict = section.take("on_conflict", one_of("wait", "skip", "replace"), "wait")
    return Concurrency(
        key=section.need("key", template, ""),
        max=section.take("max", whole(1, 100_000), 1),
        on_conflict=cast("Any", on_conflict),
    )


def planned(cursor: Cursor) -> tuple[dict[str, Any], ...]:
    """Schedules, kept as they are written. What was published once stays readable, whatever has
    become of its time zones."""
    if not cursor.faults.lenient:
        schedules_at(cursor)
    return documents(cursor)


def documents(cursor: Cursor) -> tuple[dict[str, Any], ...]:
    """Read by those who know what they mean; here they are only kept."""
    items = cursor.items()
    if len(items) > MOST_ENTRIES:
        raise Invalid(f"at most {MOST_ENTRIES}")
    for item in items:
        if not isinstance(item.value, dict):
            item.fail(f"a map is expected, not {kind_of(item.node)}")
    return tuple(plain(item.node) for item in items if isinstance(item.value, dict))


def triggers(cursor: Cursor) -> tuple[dict[str, Any], ...]:
    """Kept as they are written; what is wrong with them is told before anything is published."""
    kept = documents(cursor)
    if not cursor.faults.lenient:
        for item in cursor.items():
            if isinstance(item.value, dict):
                trigger_at(item)
    return kept


def variables(cursor: Cursor) -> dict[str, Any]:
    return {name: plain(each.node) for name, each in cursor.entries().items()}
