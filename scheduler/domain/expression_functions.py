"""The functions that expressions may call, by name and number of arguments (receiver included)."""

from collections.abc import Callable, Mapping
from typing import Any

from scheduler.domain import patterns
from scheduler.domain.expression_meter import Meter, ValueFault, kind_of, size_of
from scheduler.domain.expression_text import in_words

_LONGEST_PATTERN = 500


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueFault(f"text is needed here, not {kind_of(value)}")
    return value


def size(meter: Meter, value: Any) -> int:
    if not isinstance(value, str | list | Mapping):
        raise ValueFault(f"{kind_of(value)} has no size")
    return len(value)


def string(meter: Meter, value: Any) -> str:
    if value is None or isinstance(value, list | Mapping):
        raise ValueFault(f"string() takes text, a number or a boolean, not {kind_of(value)}")
    return in_words(value)


def int_(meter: Meter, value: Any) -> int:
    try:
        if isinstance(value, str) and len(value) > 20:
            raise ValueError
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueFault(f"{_shown(value)} is no whole number") from None
    if isinstance(value, bool) or not -(2**63) <= whole < 2**63:
        raise ValueFault(f"{_shown(value)} is no whole number of 64 bits")
    return whole


def double(meter: Meter, value: Any) -> float:
    try:
        if isinstance(value, bool) or (isinstance(value, str) and len(value) > 400):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueFault(f"{_shown(value)} is no number") from None
    if number - number != 0:
        raise ValueFault(f"{_shown(value)} is no number")
    return number


def bool_(meter: Meter, value: Any) -> bool:
    known = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in known:
        raise ValueFault(f"{_shown(value)} is neither true nor false")
    return known[value]


def matches(meter: Meter, value: Any, pattern: Any) -> bool:
    if len(text(pattern)) > _LONGEST_PATTERN:
        raise ValueFault(f"a pattern has at most {_LONGEST_PATTERN} characters")
    # Compiling costs most, above all where a count repeats a class of characters.
    meter.spend(50 * len(pattern) + 40_000 * pattern.count("{") + len(text(value)) // 4)
    try:
        return patterns.found(pattern, value)
    except (ValueError, RuntimeError, TypeError):
        raise ValueFault(f"{pattern!r} is no regular expression that can be used here") from None


def split(meter: Meter, value: Any, separator: Any) -> list[str]:
    if not text(separator):
        raise ValueFault("split() needs a separator")
    meter.spend(size_of(text(value)) + value.count(separator))
    return list(value.split(separator))


def join(meter: Meter, items: Any, separator: Any = "") -> str:
    if not isinstance(items, list):
        raise ValueFault(f"join() takes a list of texts, not {kind_of(items)}")
    meter.spend(sum(1 + size_of(text(item)) for item in items))
    meter.spend(len(items) * len(text(separator)) // 32)
    return str(separator.join(items))


def replace(meter: Meter, value: Any, old: Any, new: Any) -> str:
    if not text(old):
        raise ValueFault("replace() needs something to replace")
    meter.spend(size_of(text(value)) + text(value).count(old) * (1 + len(text(new)) // 32))
    return str(value.replace(old, new))


def on_text(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(meter: Meter, *values: Any) -> Any:
        meter.spend(sum(size_of(text(value)) for value in values))
        return function(*values)

    return call


def _shown(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, str | int | float) else kind_of(value)


def _lower(value: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in value)


def _upper(value: str) -> str:
    return "".join(c.upper() if c.isascii() else c for c in value)


FUNCTIONS: Mapping[tuple[str, int], Callable[..., Any]] = {
    ("size", 1): size,
    ("string", 1): string,
    ("int", 1): int_,
    ("double", 1): double,
    ("bool", 1): bool_,
    ("contains", 2): on_text(lambda value, part: part in value),
    ("startsWith", 2): on_text(str.startswith),
    ("endsWith", 2): on_text(str.endswith),
    ("matches", 2): matches,
    ("split", 2): split,
    ("join", 1): join,
    ("join", 2): join,
    ("replace", 3): replace,
    ("trim", 1): on_text(str.strip),
    ("lowerAscii", 1): on_text(_lower),
    ("upperAscii", 1): on_text(_upper),
}
