"""JSON into records: checked when it is read, since whoever sent it may be anybody.

What is unknown is passed over, so that one end may be newer by a version: another field, another
message. What is known has to be right: a type, a bound, a length. A field says more about what is
right by a `Check` in its annotation.
"""

import base64
import binascii
import json
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Protocol, Union, cast, get_args, get_origin, get_type_hints

LARGEST = 1 << 20  # bytes of a frame
MOST = 1_000  # messages, or elements of one list
LONGEST = 256 << 10  # characters of one text
DEEPEST = 72  # outputs may be nested 64 deep, and stand within something
HIGHEST = 2**63 - 1

Read = Callable[[Any, str], Any]


class BadFrame(ValueError):
    """Says where in a frame what is wrong. Nothing of such a frame is acted upon."""


# What annotations say beside a type.


class Check(Protocol):
    def __call__(self, told: Any, where: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Length:
    """Of a text, in characters."""

    low: int
    high: int

    def __call__(self, told: str, where: str) -> None:
        if not self.low <= len(told) <= self.high:
            raise BadFrame(f"{where}: a text of {self.low} to {self.high} characters is due")


@dataclass(frozen=True, slots=True)
class Within:
    low: float
    high: float

    def __call__(self, told: float, where: str) -> None:
        if not self.low <= told <= self.high:
            raise BadFrame(f"{where}: a number from {self.low} to {self.high} is due")


@dataclass(frozen=True, slots=True)
class Shaped:
    """A text of a pattern, in words."""

    pattern: str
    rule: str

    def __call__(self, told: str, where: str) -> None:
        if re.fullmatch(self.pattern, told, re.ASCII) is None:
            raise BadFrame(f"{where}: {self.rule}")


# Frames.


@cache
def names_of(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


@cache
def left_out(kind: type[Any]) -> frozenset[str]:
    """Fields that mean the same when they are missing as when they are null."""
    return frozenset(each.name for each in fields(kind) if each.default is None)


def plain(value: Any, names: Mapping[type, str], *, sparse: bool = False) -> Any:
    """A value as JSON has it; messages, by `names`, say which they are. `sparse`: without those
    fields that may be missing, where they are null."""
    kind: type[Any] = type(value)
    if kind in (str, int, float, bool, type(None)):
        return value
    if is_dataclass(kind):
        spare = left_out(kind) if sparse else frozenset()
        told = {
            name: plain(each, names, sparse=sparse)
            for name in names_of(kind)
            if (each := getattr(value, name)) is not None or name not in spare
        }
        return {"type": names[kind], **told} if kind in names else told
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [plain(each, names, sparse=sparse) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each, names, sparse=sparse) for name, each in value.items()}
    return value


def written(told: Any) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def frame_of(text: str | bytes, session: Read, spoken: Mapping[str, type]) -> tuple[Any, Any]:
    """Of whom a frame is, and its messages. Kinds that are not in `spoken` are passed over."""
    if len(text) > LARGEST or (isinstance(text, str) and is_too_large(text)):
        raise BadFrame(f"a frame has {LARGEST} bytes at most")
    told = load(text)
    if not isinstance(told, dict):
        raise BadFrame("a frame is an object")
    whose = session(told.get("session"), "session")
    given = told.get("messages")
    if not isinstance(given, list) or len(given) > MOST:
        raise BadFrame(f"messages: a list of {MOST} at most")
    found = [message(each, f"messages[{n}]", spoken) for n, each in enumerate(given)]
    return whose, tuple(each for each in found if each is not None)


def is_too_large(text: str) -> bool:
    """In bytes: a character has four at most, and most have one."""
    if len(text) <= LARGEST // 4 or text.isascii():
        return False
    return len(text.encode("utf-8", "surrogatepass")) > LARGEST


def load(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {str(error)[:200]}") from None


def refuse_constant(name: str) -> Any:
    raise BadFrame(f"{name} is no number of JSON")


def message(told: Any, where: str, spoken: Mapping[str, type]) -> Any:
    """None for a kind that is not known."""
    if not isinstance(told, dict) or not isinstance(told.get("type"), str):
        raise BadFrame(f"{where}.type: a text is missing")
    kind = spoken.get(told["type"])
    return None if kind is None else record(kind)(told, where)


def named(kind: type) -> str:
    """CommandAck is `command_ack`."""
    name = kind.__name__
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


# Values.


@cache
def record(kind: type) -> Read:
    """Reads an object into a dataclass of this kind."""
    hints = get_type_hints(kind, include_extras=True)
    readers = [(each, reader(hints[each.name])) for each in fields(kind)]
    names = [
        (each.name, use, each.default is MISSING and each.default_factory is MISSING)
        for each, use in readers
    ]

    def read(told: Any, where: str) -> Any:
        if not isinstance(told, dict):
            raise BadFrame(f"{where}: an object is due")
        values = {}
        for name, use, is_due in names:
            if name in told:
                values[name] = use(told[name], f"{where}.{name}")
            elif is_due:
                raise BadFrame(f"{where}.{name} is missing")
        return kind(**values)

    return read


def reader(hint: Any) -> Read:
    """How a value of this type is read."""
    origin = get_origin(hint)
    if hint is Any:
        return bounded
    if origin is Annotated:
        return checked(reader(get_args(hint)[0]), get_args(hint)[1:])
    if origin in (types.UnionType, Union):
        return one_of(get_args(hint))
    if origin is tuple:
        return several(reader(get_args(hint)[0]))
    if origin is not None and issubclass(origin, Mapping):
        return mapping
    if is_dataclass(hint):
        return record(cast("type", hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return member(hint)
    return PLAIN[hint]


def checked(use: Read, checks: tuple[Check, ...]) -> Read:
    def read(told: Any, where: str) -> Any:
        found = use(told, where)
        for check in checks:
            check(found, where)
        return found

    return read


def one_of(hints: tuple[Any, ...]) -> Read:
    """Either a value or null; or one of several messages, which say which they are."""
    if type(None) in hints:
        [rest] = [each for each in hints if each is not type(None)]
        use = reader(rest)
        return lambda told, where: None if told is None else use(told, where)
    kinds = {named(each): record(each) for each in hints}

    def read(told: Any, where: str) -> Any:
        kind = told.get("type") if isinstance(told, dict) else None
        if not isinstance(kind, str) or kind not in kinds:
            raise BadFrame(f"{where}.type: one of {', '.join(sorted(kinds))} is due")
        return kinds[kind](told, where)

    return read


def several(use: Read) -> Read:
    def read(told: Any, where: str) -> Any:
        if not isinstance(told, list) or len(told) > MOST:
            raise BadFrame(f"{where}: a list of {MOST} at most is due")
        return tuple(use(each, f"{where}[{number}]") for number, each in enumerate(told))

    return read


def member(kind: type[Enum]) -> Read:
    def read(told: Any, where: str) -> Any:
        if isinstance(told, bool) or told not in [each.value for each in kind]:
            due = ", ".join(str(each.value) for each in kind)
            raise BadFrame(f"{where}: one of {due} is due")
        return kind(told)

    return read


def text(told: Any, where: str) -> str:
    if not isinstance(told, str) or len(told) > LONGEST:
        raise BadFrame(f"{where}: a text of {LONGEST} characters at most is due")
    if "\0" in told or not is_whole(told):
        raise BadFrame(f"{where}: a text without NUL and without halves of characters is due")
    return told


def is_whole(told: str) -> bool:
    if told.isascii():
        return True
    try:
        told.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole(told: Any, where: str) -> int:
    if type(told) is not int or not 0 <= told <= HIGHEST:
        raise BadFrame(f"{where}: a whole number from 0 to 2^63 - 1 is due")
    return told


def number(told: Any, where: str) -> float:
    if type(told) not in (int, float) or not abs(told) <= 1e15:
        raise BadFrame(f"{where}: a number is due")
    return float(told)


def flag(told: Any, where: str) -> bool:
    if not isinstance(told, bool):
        raise BadFrame(f"{where}: true or false is due")
    return told


def data(told: Any, where: str) -> bytes:
    try:
        return base64.b64decode(text(told, where), validate=True)
    except (binascii.Error, ValueError):
        raise BadFrame(f"{where}: bytes in Base64 are due") from None


def signed(told: Any, where: str) -> int:
    if type(told) is not int or not -HIGHEST - 1 <= told <= HIGHEST:
        raise BadFrame(f"{where}: a whole number of 64 bits is due")
    return told


def mapping(told: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise BadFrame(f"{where}: an object is due")
    return cast("Mapping[str, Any]", bounded(told, where))


def bounded(told: Any, where: str) -> Any:
    """Any JSON that can be stored. Where something is wrong is only looked for when it is: a frame
    may have half a million values."""
    if not is_sound(told, DEEPEST):
        look_for_fault(told, where, DEEPEST)
    return told


def is_sound(told: Any, depth: int) -> bool:
    kind = type(told)
    if kind is str:
        return len(told) <= LONGEST and "\0" not in told and is_whole(told)
    if kind is dict:
        if depth == 0 or not all(is_sound(name, 0) for name in told):
            return False
        told, kind = told.values(), list
    if kind is list:
        return depth > 0 and all(each is None or is_sound(each, depth - 1) for each in told)
    if kind is int:
        return bool(-HIGHEST - 1 <= told <= HIGHEST)
    return kind is not float or bool(told - told == 0)


def look_for_fault(told: Any, where: str, depth: int) -> Any:
    if isinstance(told, str):
        return text(told, where)
    if isinstance(told, (dict, list)) and depth == 0:
        raise BadFrame(f"{where}: nested deeper than {DEEPEST}")
    if isinstance(told, dict):
        for name, each in told.items():
            text(name, where)
            look_for_fault(each, f"{where}.{name[:60]}", depth - 1)
    elif isinstance(told, list):
        for place, each in enumerate(told):
            look_for_fault(each, f"{where}[{place}]", depth - 1)
    elif isinstance(told, int) and not isinstance(told, bool):
        signed(told, where)
    elif isinstance(told, float) and told - told != 0:
        raise BadFrame(f"{where}: the number is too large")
    return told


PLAIN: Mapping[Any, Read] = {str: text, int: whole, float: number, bool: flag, bytes: data}
