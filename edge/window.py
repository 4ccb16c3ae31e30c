"""Which versions of agents a server gives work to. One that is outside ends what it has."""

import re
from dataclasses import dataclass
from typing import TypeAlias

NUMBERS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")
Numbers: TypeAlias = tuple[int, ...]


def numbers(version: str) -> Numbers:
    """Of `1.4.2rc1` 1, 4 and 2; none of what is no version."""
    found = NUMBERS.match(version)
    return tuple(map(int, found[0].split("."))) if found else ()


@dataclass(frozen=True, slots=True)
class Window:
    """Both count themselves; `1.4` as the newest means 1.4.2 as well. Left out, there is no end."""

    oldest: str = ""
    newest: str = ""

    def objection(self, version: str) -> str:
        """Why nothing new is given to an agent of this version."""
        known, oldest, newest = map(numbers, (version, self.oldest, self.newest))
        shown = version[:40] or "unknown"
        if oldest and is_before(known, oldest):
            return f"its agent is of version {shown}, and {self.oldest} is due: install a newer one"
        if newest and (not known or is_before(newest, known[: len(newest)])):
            return f"its agent is of version {shown}, and {self.newest} is the newest that may be"
        return ""


def is_before(one: Numbers, other: Numbers) -> bool:
    length = max(len(one), len(other))
    return filled(one, length) < filled(other, length)


def filled(numbers: Numbers, length: int) -> Numbers:
    return numbers + (0,) * (length - len(numbers))
