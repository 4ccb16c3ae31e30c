"""Values as JSON and back: what a step gives is data, and comes back as the type it was said to be.

The code sees a value as it is read back, the first time as in every replay.
"""

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import PurePath
from typing import Any
from uuid import UUID

from procession.telling import DEEPEST, size_of
from procession.values import Unfit, check_json
from procession.wire import MOST_MESSAGE
from procession.workflows.errors import NotJson

Decoder = Callable[[Any], Any]
PLAIN = (str, bool, int, type(None))
TEXTS = (UUID, Decimal, PurePath)


def encode(value: Any, where: str = "the value") -> Any:
    """`value` as plain data, or NotJson with the place in it that is none."""
    if isinstance(value, enum.Enum):
        return encode(value.value, where)
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, float):
        return number(value, where)
    if isinstance(value, Mapping):
        return {key_of(key, where): encode(value[key], f"{where}.{key}") for key in value}
    if isinstance(value, (list, tuple)):
        return [encode(part, f"{where}[{at}]") for at, part in enumerate(value)]
    return encode_object(value, where)


def keepable(value: Any, where: str = "the value") -> Any:
    """As `encode`, and such that it can be told to a server."""
    data = encode(value, where)
    if data is None or isinstance(data, bool):
        return data
    try:
        check_json(data, where, DEEPEST)
    except Unfit as error:
        raise NotJson(str(error)) from None
    if (size := size_of(data)) > MOST_MESSAGE:
        raise NotJson(
            f"{where} has {size} bytes, and {MOST_MESSAGE} can be kept: "
            "put it somewhere, and give where"
        )
    return data


def encode_object(value: Any, where: str) -> Any:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, TEXTS):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: encode(getattr(value, name), f"{where}.{name}") for name in names}
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json")
    raise NotJson(
        f"{where} is a {type(value).__name__}, which is no data: "
        "give numbers, texts, lists, maps, dataclasses or moments"
    )


def number(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise NotJson(f"{where} is {value}, which JSON cannot hold: give None or a text")
    return value


def key_of(key: Any, where: str) -> str:
    if isinstance(key, str):
        return key
    raise NotJson(f"{where} has the key {key!r}: keys of a map are texts")


def decode(kind: Any, data: Any) -> Any:
    return decoder(kind)(data)


def decoder(kind: Any) -> Decoder:
    try:
        return remembered(kind)
    except TypeError:  # an annotation that has no hash
        return build(kind)


@lru_cache(maxsize=2048)
def remembered(kind: Any) -> Decoder:
    return build(kind)


def as_it_is(data: Any) -> Any:
    return data


def build(kind: Any) -> Decoder:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return decoder(args[0])
    if origin in (typing.Union, types.UnionType):
        return one_of([decoder(arg) for arg in args if arg is not type(None)])
    if origin is not None:
        return build_container(origin, args)
    return build_class(kind) if isinstance(kind, type) else as_it_is


def build_container(origin: Any, args: tuple[Any, ...]) -> Decoder:
    if not isinstance(origin, type) or not args:
        return as_it_is
    if issubclass(origin, tuple):
        return tuple_of(args)
    if issubclass(origin, Mapping):
        part = decoder(args[1])
        return as_it_is if part is as_it_is else lambda data: {k: part(v) for k, v in data.items()}
    if issubclass(origin, typing.Collection):
        part = decoder(args[0])
        made = origin if origin in (set, frozenset) else list
        if part is as_it_is and made is list:
            return as_it_is
        return lambda data: made(part(value) for value in data)
    return as_it_is


def build_class(kind: type) -> Decoder:
    if kind in (str, int, bool, list, dict, type(None), object):
        return as_it_is
    if kind is float:
        return lambda data: float(data) if isinstance(data, int) else data
    if kind is tuple:
        return tuple
    if kind is timedelta:
        return lambda data: timedelta(seconds=data)
    if issubclass(kind, (datetime, date, time)):
        return kind.fromisoformat
    if issubclass(kind, (enum.Enum, *TEXTS)):
        return kind
    if dataclasses.is_dataclass(kind):
        return fields_of(kind)
    if callable(validate := getattr(kind, "model_validate", None)):
        return typing.cast("Decoder", validate)
    return as_it_is


def fields_of(kind: type) -> Decoder:
    parts: dict[str, Decoder] = {}

    def read(data: Any) -> Any:
        if not parts:  # not sooner: a class may speak of itself
            hints = typing.get_type_hints(kind)
            fields = [field for field in dataclasses.fields(kind) if field.init]
            parts.update({field.name: decoder(hints[field.name]) for field in fields})
        return kind(**{name: part(data[name]) for name, part in parts.items() if name in data})

    return read


def tuple_of(args: tuple[Any, ...]) -> Decoder:
    if len(args) == 2 and args[1] is Ellipsis:
        part = decoder(args[0])
        return lambda data: tuple(part(value) for value in data)
    parts = [decoder(arg) for arg in args]
    return lambda data: tuple(part(value) for part, value in zip(parts, data, strict=True))


def one_of(parts: list[Decoder]) -> Decoder:
    """The first that takes it; of a union with None, the other."""

    def read(data: Any) -> Any:
        if data is None:
            return None
        for part in parts:
            try:
                return part(data)
            except (TypeError, ValueError, KeyError, AttributeError):
                continue
        return data

    return read
