"""Values that come from outside: what the database and expressions can hold."""

from typing import Any

from scheduler.domain.errors import Invalid

DEEPEST = 64
LARGEST = 2**63


def refuse_unstorable(value: Any, name: str = "input") -> None:
    """Raises Invalid, naming the path of the first value that can't be kept."""
    todo = [(value, name, 0)]
    while todo:
        each, path, depth = todo.pop()
        if depth > DEEPEST:
            raise Invalid(f"{printable(path)[:200]}: nested more than {DEEPEST} deep", field=name)
        if isinstance(each, dict):
            todo += [(key, f"{path}.{key[:40]} (a key)", depth) for key in each]
            todo += [(inner, f"{path}.{key[:40]}", depth + 1) for key, inner in each.items()]
        elif isinstance(each, list):
            todo += [(inner, f"{path}[{n}]", depth + 1) for n, inner in enumerate(each)]
        elif why := _why_not(each):
            raise Invalid(f"{printable(path)}: {why}", field=printable(path))


def _why_not(value: Any) -> str | None:
    match value:
        case str():
            return None if is_storable(value) else "NUL and half characters can't be stored"
        case int() if not -LARGEST <= value < LARGEST:
            return "the number does not fit in 64 bits: send it as text"
        case float() if value - value != 0:
            return "a number is expected, not infinity or NaN"
        case bool() | int() | float() | None:
            return None
    return f"a value of JSON is expected, not {type(value).__name__}"


def is_storable(text: str) -> bool:
    return "\0" not in text and text == printable(text)


def printable(text: str) -> str:
    return text.encode(errors="replace").decode()
