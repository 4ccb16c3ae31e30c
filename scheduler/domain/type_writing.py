"""The one document of a process type: equal contents give equal documents."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from scheduler.domain import kinds, order, placement_reading
from scheduler.domain.definitions import (
    Concurrency,
    ForEach,
    Join,
    Limit,
    OnFailure,
    Placement,
    ProcessType,
    Rate,
    Repeat,
    ResourceLimits,
    TaskDefinition,
)
from scheduler.domain.durations import format_duration
from scheduler.domain.retries import RetryPolicy
from scheduler.domain.sizes import format_size
from scheduler.domain.task_reading import SERVED, when_lost

_SIZES = frozenset({"output_cap", "memory_bytes", "file_bytes"})
_APART = ("name", "kind", "needs", "command", "work", "after", "when", "on", "on_lost")


def write_type(process_type: ProcessType) -> dict[str, Any]:
    document = _changed(process_type, ("input_schema", "tasks"))
    if process_type.input_schema is not None:
        document["input"] = dict(process_type.input_schema)
    return document | {"tasks": _tasks(process_type.tasks)}


def _tasks(tasks: tuple[TaskDefinition, ...]) -> list[dict[str, Any]]:
    as_list, outside = order.is_list(tasks), order.handlers(tasks)
    written = []
    for task in tasks:
        document = {"name": task.name, **_task(task)}
        if not as_list and task.name not in outside:
            document["needs"] = sorted(task.needs)
        written.append(document)
    return written


def _task(task: TaskDefinition) -> dict[str, Any]:
    """All but its name and its place in the order."""
    apart = (*_APART, "queue") if task.kind in SERVED else _APART
    if task.for_each is not None and task.for_each.stations:
        apart = (*apart, "for_each")
    return _changed(task, apart) | _condition(task) | _place(task) | kinds.of(task).write(task)


def _place(task: TaskDefinition) -> dict[str, Any]:
    lost = {} if task.on_lost == when_lost(task.on) else {"on_lost": task.on_lost}
    return placement_reading.write(task) | lost


def _condition(task: TaskDefinition) -> dict[str, Any]:
    if task.when is None:
        return {} if task.after == "success" else {"when": task.after}
    if task.after == "success":
        return {"when": task.when}
    return {"when": {"after": task.after, "if": task.when}}


def _changed(record: Any, apart: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that differ from their defaults."""
    found = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if each.name not in apart and value != _default(each):
            found[each.name] = _plain(each.name, value)
    return found


def _default(each: Any) -> Any:
    if callable(each.default_factory):
        return each.default_factory()
    return each.default


def _plain(name: str, value: Any) -> Any:
    match value:
        case timedelta():
            return format_duration(value)
        case int() if name in _SIZES:
            return format_size(value)
        case frozenset():
            return sorted(value)
        case OnFailure(kind, handler):
            return {"handler": handler} if handler else kind
        case Limit(key, most):
            return {"key": key, "max": most}
        case Rate(key, most, per):
            return {"key": key, "max": most, "per": format_duration(per)}
        case Join(count, stop_rest):
            return {"count": count, "stop_rest": True} if stop_rest else _joined(count)
        case ForEach():
            rest = _changed(value, ("items",))
            return {"in": value.items, **rest} if rest else value.items
        case Repeat():
            return {"until": value.until, "max": value.max} | _changed(value)
        case Placement():
            return placement_reading.written(value)
        case RetryPolicy():
            return {"max": value.max} | _changed(value)
        case ResourceLimits() | Concurrency():
            return _changed(value)
        case TaskDefinition():
            return _task(value)
        case Mapping():
            return {key: _plain("", each) for key, each in value.items()}
        case tuple():
            return [dict(each) for each in value]
    return value


def _joined(count: int | None) -> Any:
    return "any" if count == 1 else {"count": count}
