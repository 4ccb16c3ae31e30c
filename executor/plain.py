"""JSON that can be kept: what the database holds, and every reader after it can read.

Whatever comes from a command or a server passes through here before it is called a value.
"""

import json
from typing import Any

DEEPEST = 64
LARGEST = 2**63

Json = Any


class NotPlain(ValueError):
    """Says what is wrong, and where."""


def read(text: str) -> Json:
    """One JSON document, checked; raises NotPlain with line and column."""
    try:
        value = json.loads(text, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise NotPlain(f"not JSON: {error.msg} ({at})") from None
    except RecursionError:
        raise NotPlain(f"nested more than {DEEPEST} deep") from None
    except ValueError as error:
        raise NotPlain(f"not JSON: {error}") from None
    check(value)
    return value


def write(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is no number that JSON knows")


def check(value: Json) -> None:
    todo: list[tuple[Json, str, int]] = [(value, "", 0)]
    while todo:
        each, path, depth = todo.pop()
        if depth > DEEPEST:
            raise NotPlain(f"{place(path)}nested more than {DEEPEST} deep")
        if isinstance(each, dict):
            todo += [(key, f"{path} (a key)", depth) for key in each]
            todo += [(inner, f"{path}.{key:.40}", depth + 1) for key, inner in each.items()]
        elif isinstance(each, list):
            todo += [(inner, f"{path}[{n}]", depth + 1) for n, inner in enumerate(each)]
        elif why := why_not(each):
            raise NotPlain(f"{place(path)}{why}")


def place(path: str) -> str:
    return f"{visible(path).lstrip('.')[:200]}: " if path else ""


def why_not(value: Json) -> str | None:
    match value:
        case str() if not is_storable(value):
            return "NUL and half characters can't be stored"
        case bool() | str() | None:
            return None
        case int() if not -LARGEST <= value < LARGEST:
            return "the number does not fit in 64 bits: write it as text"
        case float() if value - value != 0:
            return "the number is too large: write it as text"
    return None


def is_storable(text: str) -> bool:
    return "\0" not in text and text == visible(text)


def visible(text: str) -> str:
    return text.encode(errors="replace").decode()


def text_of(data: bytes) -> str:
    """Bytes as text that can be stored, whatever they are."""
    return data.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
