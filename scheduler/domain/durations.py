"""Lengths of time as people write them: `10m`, `1h30m`, `500ms`; a bare number is seconds."""

import re
from datetime import timedelta

from scheduler.domain.errors import Invalid

LONGEST = timedelta(days=366)
RULE = "write a duration such as 500ms, 30s, 10m, 1h30m or 2d; a number is seconds"

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|[dhms])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)


def parse_duration(value: str | float) -> timedelta:
    length = _seconds(value) if isinstance(value, int | float) else _parse_text(value.strip())
    if length > LONGEST:
        raise Invalid(f"{value!r} is longer than a year: {RULE}")
    return length


def format_duration(length: timedelta) -> str:
    """The shortest text that parses back to the same length."""
    rest, parts = length, []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if rest:
        parts.append(f"{rest.microseconds / 1000:g}ms")
    return "".join(parts) or "0s"


def _seconds(value: float) -> timedelta:
    if isinstance(value, bool) or not 0 <= value <= LONGEST.total_seconds():
        raise Invalid(f"{value!r} is no duration of at most a year: {RULE}")
    return timedelta(seconds=value)


def _parse_text(text: str) -> timedelta:
    if _NUMBER.fullmatch(text):
        return _seconds(float(text))
    if not _WHOLE.fullmatch(text) or _repeats(text):
        raise Invalid(f"{text[:40]!r} is no duration: {RULE}")
    try:
        return sum((float(n) * _UNITS[unit] for n, unit in _PART.findall(text)), timedelta())
    except OverflowError:
        raise Invalid(f"{text[:40]!r} is longer than a year: {RULE}") from None


def _repeats(text: str) -> bool:
    units = [unit for _, unit in _PART.findall(text)]
    return len(set(units)) < len(units)
