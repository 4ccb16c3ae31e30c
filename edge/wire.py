"""Frames as text: checked when they are read, since whoever sent them may be anybody.

What is unknown is passed over, so that one end may be newer by a version: another field, another
message. What is known has to be right: a type, a bound, a length.
"""

import base64
import binascii
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from edge import messages
from edge.messages import Body, Ended, Frame, Message, Offer

LARGEST = 1 << 20  # bytes of a frame
MOST = 1_000  # messages, or elements of one list
LONGEST = 256 << 10  # characters of one text
DEEPEST = 72  # outputs may be nested 64 deep, and stand within something
HIGHEST = 2**63 - 1

Read = Callable[[Any, str], Any]


class BadFrame(ValueError):
    """Says where in a frame what is wrong. Nothing of such a frame is acted upon."""


def encode(frame: Frame) -> str:
    told = {"session": frame.session, "messages": [plain(each) for each in frame.messages]}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def plain(value: Any) -> Any:
    """A value as JSON has it. A message says which one it is."""
    kind: type[Any] = type(value)
    if is_dataclass(kind):
        told = {name: plain(getattr(value, name)) for name in names_of(kind)}
        return {"type": NAMES[kind], **told} if kind in NAMES else told
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return value


@cache
def names_of(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


def decode(text: str | bytes) -> Frame:
    if len(text) > LARGEST:
        raise BadFrame(f"a frame has {LARGEST} bytes at most")
    told = load(text)
    if not isinstance(told, dict):
        raise BadFrame("a frame is an object")
    session = whole(told.get("session"), "session")
    given = told.get("messages")
    if not isinstance(given, list) or len(given) > MOST:
        raise BadFrame(f"messages: a list of {MOST} at most")
    found = [message(each, f"messages[{number}]") for number, each in enumerate(given)]
    return Frame(session, tuple(each for each in found if each is not None))


def load(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {str(error)[:200]}") from None


def refuse_constant(name: str) -> Any:
    raise BadFrame(f"{name} is no number of JSON")


def message(told: Any, where: str) -> Message | None:
    """None for a kind that this version does not know."""
    if not isinstance(told, dict) or not isinstance(told.get("type"), str):
        raise BadFrame(f"{where}.type: a text is missing")
    kind = SPOKEN.get(told["type"])
    return None if kind is None else cast("Message", record(kind)(told, where))


@cache
def record(kind: type) -> Read:
    """Reads an object into a dataclass of this kind."""
    hints = get_type_hints(kind)
    readers = [(each, reader(hints[each.name])) for each in fields(kind)]

    def read(told: Any, where: str) -> Any:
        if not isinstance(told, dict):
            raise BadFrame(f"{where}: an object is due")
        values = {}
        for each, use in readers:
            if each.name in told:
                values[each.name] = use(told[each.name], f"{where}.{each.name}")
            elif each.default is MISSING and each.default_factory is MISSING:
                raise BadFrame(f"{where}.{each.name} is missing")
        return kind(**values)

    return read


def reader(hint: Any) -> Read:
    """How a value of this type is read."""
    origin = get_origin(hint)
    if hint is Any:
        return bounded
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


def one_of(hints: tuple[Any, ...]) -> Read:
    """Either a value or null; or one of several messages, which say which they are."""
    if type(None) in hints:
        [rest] = [each for each in hints if each is not type(None)]
        use = reader(rest)
        return lambda told, where: None if told is None else use(told, where)
    kinds = {NAMES[each]: record(each) for each in hints}

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
    return not any("\ud800" <= each <= "\udfff" for each in told)


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


def bounded(told: Any, where: str, depth: int = DEEPEST) -> Any:
    """Any JSON that can be stored."""
    if isinstance(told, str):
        return text(told, where)
    if isinstance(told, (dict, list)) and depth == 0:
        raise BadFrame(f"{where}: nested deeper than {DEEPEST}")
    if isinstance(told, dict):
        for name, each in told.items():
            text(name, where)
            bounded(each, f"{where}.{name[:60]}", depth - 1)
    elif isinstance(told, list):
        for place, each in enumerate(told):
            bounded(each, f"{where}[{place}]", depth - 1)
    elif isinstance(told, int) and not isinstance(told, bool):
        signed(told, where)
    elif isinstance(told, float) and told - told != 0:
        raise BadFrame(f"{where}: the number is too large")
    return told


PLAIN: Mapping[Any, Read] = {str: text, int: whole, float: number, bool: flag, bytes: data}


def named(kind: type) -> str:
    """CommandAck is `command_ack`."""
    name = kind.__name__
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


NAMES: Mapping[type, str] = {
    each: named(each)
    for union in (messages.FromAgent, messages.FromServer, messages.Body)
    for each in get_args(union)
}
SPOKEN: Mapping[str, type] = {
    NAMES[each]: each
    for union in (messages.FromAgent, messages.FromServer)
    for each in get_args(union)
}


# What is kept on disk is kept as it is said, and what is kept can be sent.

MOST_ITEM = LARGEST - (16 << 10)


def fitting(ended: Ended) -> Ended:
    """A result that no frame could carry still has an end that can be told. It would be said for
    ever, and keep all that comes after it."""
    size = len(kept(ended).encode())
    if size <= MOST_ITEM:
        return ended
    error = f"the task ended, but its result has {size} bytes, and {MOST_ITEM} can be sent"
    return replace(ended, ending="FAILED", error=error, retryable=False, output=None, detail={})


def kept(value: Body | Offer) -> str:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_body(text: str) -> Body:
    return cast("Body", one_of(get_args(messages.Body))(load(text), "body"))


def read_offer(text: str) -> Offer:
    return cast("Offer", record(Offer)(load(text), "offer"))
