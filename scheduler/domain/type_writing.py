"""The one document of a process type: equal contents give equal documents."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from scheduler.domain import order
from scheduler.domain.commands import Argv, Command, Script, Split
from scheduler.domain.definitions import (
    Limit,
    OnFailure,
    ProcessType,
    ResourceLimits,
    TaskDefinition,
)
from scheduler.domain.durations import format_duration
from scheduler.domain.retries import RetryPolicy
from scheduler.domain.sizes import format_size

_SIZES = frozenset({"output_cap", "memory_bytes", "file_bytes"})


def write_type(process_type: ProcessType) -> dict[str, Any]:
    document = _changed(process_type, ("input_schema", "tasks"))
    if process_type.input_schema is not None:
        document["input"] = dict(process_type.input_schema)
    return document | {"tasks": _tasks(process_type.tasks)}


def _tasks(tasks: tuple[TaskDefinition, ...]) -> list[dict[str, Any]]:
    as_list, outside = order.is_list(tasks), order.handlers(tasks)
    written = []
    for task in tasks:
        document = _changed(task, ("kind", "needs", "command"))
        if not as_list and task.name not in outside:
            document["needs"] = sorted(task.needs)
        written.append(document | _command(task.command))
    return written


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
        case RetryPolicy():
            return {"max": value.max} | _changed(value)
        case ResourceLimits():
            return _changed(value)
        case Mapping():
            return dict(value)
    return value


def _command(command: Command | None) -> dict[str, Any]:
    match command:
        case Split(text):
            return {"run": text}
        case Argv(items):
            return {"run": list(items)}
        case Script(text):
            return {"shell": text}
    return {"noop": True}
