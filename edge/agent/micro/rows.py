"""Runs and tasks as JSON, as they lie in the ledger and as the server is told of them."""

import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

Row = TypeVar("Row")
Read = Callable[[Any], Any]


def plain(row: Any) -> dict[str, Any]:
    return {name: as_json(getattr(row, name)) for name in names(cast("Hashable", type(row)))}


def as_json(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case UUID():
            return str(value)
    return value


def read(kind: type[Row], told: Mapping[str, Any]) -> Row:
    """What an older version did not know yet has its default."""
    return kind(
        **{
            name: use(told[name])
            for name, use in readers(cast("Hashable", kind)).items()
            if name in told
        }
    )


@cache
def names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


@cache
def readers(kind: Any) -> dict[str, Read]:
    hints = get_type_hints(kind)
    return {name: reader(hints[name]) for name in names(kind)}


def reader(hint: Any) -> Read:
    if get_origin(hint) in (types.UnionType, Union):
        [rest] = [each for each in get_args(hint) if each is not type(None)]
        use = reader(rest)
        return lambda value: None if value is None else use(value)
    if hint is datetime:
        return datetime.fromisoformat
    if hint is timedelta:
        return lambda value: timedelta(seconds=value)
    if hint is UUID or (isinstance(hint, type) and issubclass(hint, Enum)):
        return hint
    return lambda value: value
