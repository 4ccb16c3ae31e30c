"""Amounts of bytes as people write them: `64KiB`, `4MiB`, `1GB`; a bare number is bytes."""

import re

from scheduler.domain.errors import Invalid

RULE = "write a size such as 64KiB, 4MiB or 1GB; a number is bytes"

_UNITS = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_SIZE = re.compile(r"(\d{1,15}) ?([kmg]i?b|b)?", re.ASCII | re.IGNORECASE)


def parse_size(value: str | int) -> int:
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        raise Invalid(f"{str(value)[:40]!r} is no size: {RULE}")
    return int(match[1]) * _UNITS[(match[2] or "b").lower()]


def format_size(size: int) -> str | int:
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _UNITS[unit.lower()] == 0:
            return f"{size // _UNITS[unit.lower()]}{unit}"
    return size
