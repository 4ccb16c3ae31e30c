"""The JSON Schema of a workflow's input, from the annotations of its function."""

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from procession.workflows.errors import NotJson
from procession.workflows.values import encode

Schema = dict[str, Any]
Within = tuple[type, ...]
SIMPLE: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string"},
    timedelta: {"type": "number"},
    UUID: {"type": "string", "format": "uuid"},
    Decimal: {"type": "string"},
    dict: {"type": "object"},
    list: {"type": "array"},
    tuple: {"type": "array"},
}


def input_schema(function: Callable[..., Any], hints: Mapping[str, Any]) -> Schema:
    parameters = inspect.signature(function).parameters.values()
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [each for each in parameters if each.kind not in rest]
    schema: Schema = {
        "type": "object",
        "properties": {each.name: with_default(each, hints) for each in named},
        "required": [each.name for each in named if each.default is each.empty],
    }
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        schema["additionalProperties"] = False
    return schema


def with_default(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Schema:
    schema = schema_of(hints.get(parameter.name, Any))
    if parameter.default is parameter.empty:
        return schema
    try:
        return {**schema, "default": encode(parameter.default)}
    except NotJson:
        return schema


def schema_of(kind: Any, within: Within = ()) -> Schema:
    """Of one kind of values; within itself a class is anything, since it may have no end."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return annotated(args, within)
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(arg, within) for arg in args]}
    if isinstance(origin, type):
        return container(origin, args, within)
    return of_class(kind, within) if isinstance(kind, type) else {}


def annotated(args: tuple[Any, ...], within: Within) -> Schema:
    """`Annotated[int, {"minimum": 1}]`: a map says more of it, a text describes it."""
    schema = schema_of(args[0], within)
    for more in args[1:]:
        if isinstance(more, Mapping):
            schema.update(more)
        elif isinstance(more, str):
            schema["description"] = more
    return schema


def container(origin: type, args: tuple[Any, ...], within: Within) -> Schema:
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(args[1], within)}
    if issubclass(origin, tuple) and args[-1:] != (Ellipsis,):
        return {"type": "array", "prefixItems": [schema_of(arg, within) for arg in args]}
    if issubclass(origin, Collection):
        return {"type": "array", "items": schema_of(args[0], within)}
    return {}


def of_class(kind: type, within: Within) -> Schema:
    if kind in SIMPLE:
        return dict(SIMPLE[kind])
    if kind in within:
        return {}
    if issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    if dataclasses.is_dataclass(kind):
        return of_dataclass(kind, (*within, kind))
    if callable(write := getattr(kind, "model_json_schema", None)):
        return typing.cast("Schema", write())
    return {"type": "string"} if issubclass(kind, PurePath) else {}


def of_dataclass(kind: type, within: Within) -> Schema:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    return {
        "type": "object",
        "properties": {field.name: schema_of(hints[field.name], within) for field in fields},
        "required": [field.name for field in fields if is_needed(field)],
    }


def is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING
