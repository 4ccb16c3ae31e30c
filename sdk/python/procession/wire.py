"""Frames as texts. What comes from the other end is checked before anything of it counts.

Messages and fields that are not known are passed over, so one end may be newer; what is known has
to be right, or nothing of the frame is acted upon.
"""

import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Mapping as MappingType
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from procession import messages
from procession.messages import Frame, Message
from procession.values import Session, Unfit, check_json

LARGEST = 1 << 20  # bytes of a frame
MOST = 1_000  # messages of a frame, or elements of one of its lists
ROOM = 200  # bytes that a frame needs around its messages
MOST_MESSAGE = LARGEST - (16 << 10)

is_session = get_args(Session)[1]

Read = Callable[[Any, str], Any]
Direction = Mapping[str, Read]


class BadFrame(ValueError):
    """Says where in a frame what is wrong."""


def encode(message: Message) -> str:
    return dump(plain(message))


def dump(told: Any) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def plain(value: Any) -> Any:
    """A message as JSON has it; what it does not say is left out."""
    kind = type(value)
    if is_dataclass(kind):
        told = {"type": NAMES[kind]} if kind in NAMES else {}
        for name, is_optional in fields_of(kind):
            given = getattr(value, name)
            if given is not None or not is_optional:
                told[name] = plain(given)
        return told
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return value


@cache
def fields_of(kind: type[Any]) -> tuple[tuple[str, bool], ...]:
    return tuple((each.name, each.default is not MISSING) for each in fields(kind))


def pack(session: str, said: Iterable[str]) -> Iterator[str]:
    """Frames of as many messages as fit, in their order."""
    chosen: list[str] = []
    size = ROOM
    for each in said:
        length = len(each) + 1 if each.isascii() else len(each.encode()) + 1
        if chosen and (size + length > LARGEST or len(chosen) == MOST):
            yield framed(session, chosen)
            chosen, size = [], ROOM
        chosen.append(each)
        size += length
    if chosen:
        yield framed(session, chosen)


def framed(session: str, said: Iterable[str]) -> str:
    return f'{{"session":{json.dumps(session)},"messages":[{",".join(said)}]}}'


def decode(told: str | bytes, spoken: "Direction | None" = None) -> Frame:
    """A frame of the server's, or of whoever speaks otherwise."""
    if len(told) > LARGEST or (
        isinstance(told, str) and len(told.encode(errors="replace")) > LARGEST
    ):
        raise BadFrame(f"a frame has {LARGEST} bytes at most")
    found = load(told)
    try:
        return frame(found, FROM_SERVER if spoken is None else spoken)
    except Unfit as error:
        raise BadFrame(str(error)) from None


def load(told: str | bytes) -> Any:
    try:
        return json.loads(told, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {str(error)[:200]}") from None


def refuse_constant(name: str) -> Any:
    raise BadFrame(f"{name} is no number of JSON")


def frame(told: Any, spoken: Direction) -> Frame:
    if not isinstance(told, dict):
        raise Unfit("a frame is an object")
    session: Any = told.get("session")
    given = told.get("messages")
    is_session(session, "session")
    if not isinstance(given, list) or len(given) > MOST:
        raise Unfit(f"messages: a list of {MOST} at most is due")
    found = [message(each, f"messages[{place}]", spoken) for place, each in enumerate(given)]
    return Frame(session, tuple(each for each in found if each is not None))


def message(told: Any, where: str, spoken: Direction) -> Message | None:
    """None for one that this version does not know."""
    kind = told.get("type") if isinstance(told, dict) else None
    if not isinstance(kind, str):
        raise Unfit(f"{where}.type: a text is due")
    read = spoken.get(kind)
    found: Message | None = None if read is None else read(told, where)
    return found


@cache
def record(kind: type[Any]) -> Read:
    """Reads an object into a dataclass of this kind."""
    hints = get_type_hints(kind, include_extras=True)
    readers = [
        (each.name, each.default is MISSING, reader(hints[each.name])) for each in fields(kind)
    ]

    def read(told: Any, where: str) -> Any:
        if not isinstance(told, dict):
            raise Unfit(f"{where}: an object is due")
        values = {}
        for name, is_due, use in readers:
            if name in told:
                values[name] = use(told[name], f"{where}.{name}")
            elif is_due:
                raise Unfit(f"{where}.{name} is missing")
        return kind(**values)

    return read


def reader(hint: Any) -> Read:
    """How a value of this type is read."""
    origin = get_origin(hint)
    if origin is Annotated:
        return checked(get_args(hint)[1])
    if origin in (types.UnionType, Union):
        [rest] = [each for each in get_args(hint) if each is not type(None)]
        return optional(reader(rest))
    if origin is Literal:
        return one_of(get_args(hint))
    if origin is tuple:
        return several(reader(get_args(hint)[0]))
    if origin is MappingType:
        return mapping
    if is_dataclass(hint):
        return record(cast("type", hint))
    return {Any: checked(check_json), bool: flag}[hint]


def checked(check: Callable[[Any, str], None]) -> Read:
    def read(told: Any, where: str) -> Any:
        check(told, where)
        return told

    return read


def optional(use: Read) -> Read:
    return lambda told, where: None if told is None else use(told, where)


def one_of(allowed: tuple[str, ...]) -> Read:
    def read(told: Any, where: str) -> Any:
        if not isinstance(told, str) or told not in allowed:
            raise Unfit(f"{where}: one of {', '.join(allowed)} is due")
        return told

    return read


def several(use: Read) -> Read:
    def read(told: Any, where: str) -> Any:
        if not isinstance(told, list) or len(told) > MOST:
            raise Unfit(f"{where}: a list of {MOST} at most is due")
        return tuple(use(each, f"{where}[{place}]") for place, each in enumerate(told))

    return read


def mapping(told: Any, where: str) -> Any:
    if not isinstance(told, dict):
        raise Unfit(f"{where}: an object is due")
    check_json(told, where)
    return told


def flag(told: Any, where: str) -> bool:
    if not isinstance(told, bool):
        raise Unfit(f"{where}: true or false is due")
    return told


def named(kind: type[Any]) -> str:
    """GiveUp is `give_up`."""
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in kind.__name__)[1:]


NAMES: Mapping[type[Any], str] = {each: named(each) for each in get_args(messages.Message)}
FROM_SERVER: Direction = {NAMES[each]: record(each) for each in get_args(messages.FromServer)}
FROM_WORKER: Direction = {NAMES[each]: record(each) for each in get_args(messages.FromWorker)}
