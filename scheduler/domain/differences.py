"""What one document says otherwise than another, place by place.

Lists of named things are compared by their names, so a task that was put before others is one
change and not many.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Literal

Kind = Literal["added", "removed", "changed", "moved"]

MOST_LINES = 5_000  # on either side: comparing texts takes the square of what differs


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` is None where something was added, `after` where it was removed; of what was
    moved they are its places."""

    path: str
    kind: Kind
    before: Any
    after: Any


def between(before: Any, after: Any, path: str = "") -> list[Difference]:
    """In the order of the new document; what was removed comes before."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return list(_of_mappings(before, after, path))
    if isinstance(before, list) and isinstance(after, list):
        return list(_of_lists(before, after, path))
    return [] if _same(before, after) else [Difference(path, "changed", before, after)]


def _same(before: Any, after: Any) -> bool:
    """True is no 1 in JSON."""
    return before == after and isinstance(before, bool) == isinstance(after, bool)


def _of_mappings(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str
) -> Iterator[Difference]:
    for key in before:
        if key not in after:
            yield Difference(_joined(path, key), "removed", before[key], None)
    for key, value in after.items():
        where = _joined(path, key)
        if key in before:
            yield from between(before[key], value, where)
        else:
            yield Difference(where, "added", None, value)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _of_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Difference]:
    if _are_plain(before) and _are_plain(after):
        if len(before) != len(after) or not all(map(_same, before, after)):
            yield Difference(path, "changed", before, after)
        return
    old, new = _by_name(before), _by_name(after)
    if old is None or new is None:
        yield from _by_place(before, after, path)
        return
    for name in old:
        if name not in new:
            yield Difference(f"{path}[{name}]", "removed", old[name], None)
    moved = _moved([name for name in old if name in new], [name for name in new if name in old])
    for place, (name, value) in enumerate(new.items()):
        where = f"{path}[{name}]"
        if name not in old:
            yield Difference(where, "added", None, value)
            continue
        if name in moved:
            yield Difference(where, "moved", list(old).index(name), place)
        yield from between(old[name], value, where)


def _are_plain(items: Sequence[Any]) -> bool:
    """Words and numbers, which are read as one: a command, what a task needs."""
    return not any(isinstance(each, Mapping | list) for each in items)


def _by_name(items: Sequence[Any]) -> dict[str, Any] | None:
    """The same under their names; None if one has none, or another's."""
    names = [each.get("name") for each in items if isinstance(each, Mapping)]
    if len(names) < len(items) or not all(isinstance(name, str) for name in names):
        return None
    if len(set(names)) < len(names):
        return None
    return {str(name): each for name, each in zip(names, items, strict=True)}


def _by_place(before: list[Any], after: list[Any], path: str) -> Iterator[Difference]:
    for place, value in enumerate(before[len(after) :], len(after)):
        yield Difference(f"{path}[{place}]", "removed", value, None)
    for place, value in enumerate(after):
        where = f"{path}[{place}]"
        if place < len(before):
            yield from between(before[place], value, where)
        else:
            yield Difference(where, "added", None, value)


def _moved(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """Those that stand elsewhere among what both have: all but a longest run of the others that
    kept their order."""
    place = {name: number for number, name in enumerate(before)}
    return set(after) - set(_longest_rising(after, place))


def _longest_rising(names: Sequence[str], place: Mapping[str, int]) -> list[str]:
    ends: list[str] = []  # the least end of a rising row of each length
    previous: dict[str, str | None] = {}
    for name in names:
        low, high = 0, len(ends)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if place[ends[middle]] < place[name] else (low, middle)
        previous[name] = ends[low - 1] if low else None
        ends[low : low + 1] = [name]
    found: list[str] = []
    at = ends[-1] if ends else None
    while at is not None:
        found.append(at)
        at = previous[at]
    return found


def unified(before: str, after: str, names: tuple[str, str]) -> str | None:
    """The texts as `diff -u` compares them; None if they are too long for that."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if max(len(old), len(new)) > MOST_LINES:
        return None
    return "".join(unified_diff(old, new, *names))
