"""Two texts side by side, line by line, with what is alike between changes folded away."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Literal

from scheduler.domain.differences import MOST_LINES

Kind = Literal["same", "added", "removed", "changed", "fold"]
NEAR = 3  # lines around a change
MOST_SHOWN = 1_500


@dataclass(frozen=True, slots=True)
class Line:
    """A line of either text; a side without one has no number. Of a fold `old` is its length."""

    kind: Kind
    old: int | None = None
    before: str = ""
    new: int | None = None
    after: str = ""


def compare(before: str, after: str) -> list[Line] | None:
    """None if they are too long to be compared; no line at all if they are alike."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MOST_LINES:
        return None
    found: list[Line] = []
    end = 0
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(NEAR):
        if (folded := group[0][1] - end) > 0:
            found.append(Line("fold", folded))
        for tag, low, high, start, stop in group:
            found += lines(tag, old, low, high, new, start, stop)
        end = group[-1][2]
        if len(found) > MOST_SHOWN:
            break
    if found and end < len(old):
        found.append(Line("fold", len(old) - end))
    return found


def lines(
    tag: str, old: list[str], low: int, high: int, new: list[str], start: int, stop: int
) -> Iterator[Line]:
    if tag == "equal":
        for left, right in zip(range(low, high), range(start, stop), strict=True):
            yield Line("same", left + 1, old[left], right + 1, new[right])
        return
    for left, right in zip_longest(range(low, high), range(start, stop)):
        if right is None:
            yield Line("removed", left + 1, old[left])
        elif left is None:
            yield Line("added", None, "", right + 1, new[right])
        else:
            yield Line("changed", left + 1, old[left], right + 1, new[right])
