"""What a runner and its client say to each other: one JSON object a line, over a local socket.

Everything that comes in is checked here, so that whoever handles an order may rely on its types.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from executor.base import Invocation, Limits

LONGEST_LINE = 32 << 20
INLINE = 64 << 10  # output that travels with an exit record
OUT, ERR = 0, 1
FORMS = ("none", "text", "lines", "json", "result")  # of a task's output
STREAMS = ("out", "err")

Segment = tuple[int, int, bytes]  # offset, stream, data
Order = dict[str, Any]

KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,199}", re.ASCII)


class Garbled(ValueError):
    """A line that no peer of ours would send; says which field and why."""


to_json = json.JSONEncoder(separators=(",", ":")).encode


def encode(message: Mapping[str, Any]) -> bytes:
    return to_json(message).encode() + b"\n"


def pack(segments: Iterable[Segment]) -> list[list[Any]]:
    return [[offset, stream, b64encode(data).decode()] for offset, stream, data in segments]


def unpack(packed: Iterable[Any]) -> list[Segment]:
    return [(offset, stream, b64decode(data)) for offset, stream, data in packed]


class Lines:
    """Cuts a byte stream into lines; one that never ends is refused before it fills memory."""

    def __init__(self, longest: int = LONGEST_LINE):
        self.longest = longest
        self.parts: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes) -> list[bytes]:
        *lines, rest = data.split(b"\n")
        if lines and self.parts:
            lines[0] = b"".join([*self.parts, lines[0]])
        if lines:
            self.parts, self.size = [], 0
        if rest:
            self.parts.append(rest)
            self.size += len(rest)
        if self.size > self.longest:
            raise Garbled(f"line: longer than {self.longest} bytes")
        return lines


def decode(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Garbled(f"line: not JSON ({type(error).__name__})") from error
    if not isinstance(message, dict):
        raise Garbled("line: not an object")
    return message


def is_number(value: object) -> bool:
    is_bool = isinstance(value, bool)
    return isinstance(value, int | float) and not is_bool and 0 <= value < 1e15


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def is_text(value: object) -> bool:
    return type(value) is str


def is_flag(value: object) -> bool:
    return type(value) is bool


def is_key(value: object) -> bool:
    return type(value) is str and KEY.fullmatch(value) is not None


def is_keys(value: object) -> bool:
    return type(value) is list and all(map(is_key, value))


def is_unicode(value: object) -> bool:
    """Text that can be written to a file and looked for in a stream."""
    try:
        return type(value) is str and value.encode() is not None
    except UnicodeEncodeError:
        return False


def is_secrets(value: object) -> bool:
    return type(value) is list and all(map(is_unicode, value))


def is_secrets_by_name(value: object) -> bool:
    return type(value) is dict and all(map(is_unicode, value.values()))


def is_argv(value: object) -> bool:
    return type(value) is list and len(value) > 0 and all(map(is_text, value))


def is_environment(value: object) -> bool:
    return type(value) is dict and all(map(is_text, value.values()))


def is_limits(value: object) -> bool:
    return type(value) is dict and all(
        name in Limits.__slots__ and is_count(limit) for name, limit in value.items()
    )


Check = Callable[[object], bool]

INVOCATION: Mapping[str, Check] = {
    "argv": is_argv,
    "cwd": is_text,
    "env": is_environment,
    "stdin": is_text,
    "timeout": is_number,
    "grace": is_number,
    "merge_output": is_flag,
    "output_cap": is_count,
    "limits": is_limits,
    "user": is_text,
    "on_lost": lambda value: value in ("retry", "fail", "wait"),
    "output": lambda value: value in FORMS,
    "files_cap": is_count,
    "secrets": is_secrets_by_name,
    "secret_files": is_secrets_by_name,
    "masks": is_secrets,
}
SECRET = frozenset({"stdin", "secrets", "secret_files", "masks"})  # no refusal shows what they hold

# What each order must carry, beside "do".
ORDERS: Mapping[str, Mapping[str, Check]] = {
    "start": {"key": is_key, "invocation": lambda value: type(value) is dict},
    "stop": {"key": is_key},
    "kill": {"key": is_key},
    "freeze": {"key": is_key},
    "thaw": {"key": is_key},
    "lease": {"deadline": is_number, "grace": is_number},
    "received": {"key": is_key, "offset": is_count},
    "resume": {"key": is_key, "offset": is_count},
    "read": {"key": is_key, "offset": is_count, "size": is_count},
    "tell_starts": {},
    "go": {},
    "acknowledge": {"keys": is_keys},
    "bye": {"stop_commands": is_flag},
}


def read_order(line: bytes) -> Order:
    order = decode(line)
    kind = order.get("do")
    fields = ORDERS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise Garbled("do: no such order")
    for name, check in fields.items():
        if not check(order.get(name)):
            raise Garbled(f"{name}: missing or malformed in a {kind} order")
    return order


PLAIN = Invocation(argv=("",))


def pack_invocation(invocation: Invocation) -> dict[str, Any]:
    """Only what differs from the defaults; `limits` as the limits that are set."""
    packed: dict[str, Any] = {"argv": list(invocation.argv)}
    if invocation.env:
        packed["env"] = dict(invocation.env)
    if invocation.limits is not None:
        packed["limits"] = pack_limits(invocation.limits)
    for name in SIMPLE:
        value = getattr(invocation, name)
        if value != getattr(PLAIN, name):
            packed[name] = list(value) if name == "masks" else value
    return packed


SIMPLE = tuple(name for name in INVOCATION if name not in ("argv", "env", "limits"))


def pack_limits(limits: Limits) -> dict[str, int]:
    values = {name: getattr(limits, name) for name in Limits.__slots__}
    return {name: value for name, value in values.items() if value is not None}


def unpack_invocation(packed: Mapping[str, Any]) -> Invocation:
    for name, value in packed.items():
        check = INVOCATION.get(name)
        if check is None:
            raise Garbled(f"{name[:40]}: a command has no such field; leave it out")
        if not check(value):
            shown = "this" if name in SECRET else f"{value!r:.80}"
            raise Garbled(f"{name}: {shown} is not what this field may hold")
    if "argv" not in packed:
        raise Garbled("argv: missing; name the program to run")
    limits = packed.get("limits")
    if limits is not None:
        packed = {**packed, "limits": Limits(**limits)}
    return Invocation(**packed)
