"""Reading nodes field by field. Every fault is kept, with its place, its path and a remedy."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from scheduler.domain.errors import Invalid
from scheduler.domain.names import suggestion
from scheduler.domain.nodes import Entry, Mark, Node, plain

V = TypeVar("V")
MOST_FAULTS = 100


class Faults:
    """`lenient` towards what was published before: what could be done then can be done still, and
    schemas that were looked at then are not looked at again."""

    def __init__(self, source: str, *, lenient: bool = False) -> None:
        self.source = source
        self.lenient = lenient
        self.found: list[tuple[Mark, str]] = []

    def add(self, mark: Mark | None, path: str, what: str) -> None:
        where = f"{self.source}:{mark}" if mark and mark.line else self.source
        line = ": ".join(filter(None, (where, path, " ".join(what.split("\n")))))
        self.found.append((mark or Mark(0, 0), line))

    def lines(self) -> list[str]:
        """In the order of the text, each once."""
        ordered = sorted(self.found, key=lambda fault: (fault[0].line, fault[0].column))
        lines = list(dict.fromkeys(line for _, line in ordered))
        rest = len(lines) - MOST_FAULTS
        return lines[:MOST_FAULTS] + ([f"{self.source}: and {rest} more"] if rest > 0 else [])


class Cursor:
    """A node, where it stands in the document, and where to complain."""

    def __init__(self, node: Node, path: str, faults: Faults, mark: Mark | None = None) -> None:
        self.node = node
        self.path = path
        self.faults = faults
        self.mark = mark or node.mark

    @property
    def value(self) -> Any:
        return self.node.value

    def fail(self, what: str, part: str | None = None) -> None:
        mark = self.node.place_of(part) if part else self.mark
        self.faults.add(mark or self.mark, self.path, what)

    def read(self, reader: Callable[["Cursor"], V], default: V) -> V:
        try:
            return reader(self)
        except Invalid as fault:
            self.fail(str(fault))
            return default

    def items(self) -> list["Cursor"]:
        if not isinstance(self.value, list):
            raise Invalid(f"a list is expected, not {kind_of(self.node)}")
        return [
            Cursor(item, f"{self.path}[{number}]", self.faults)
            for number, item in enumerate(self.value)
        ]

    def entries(self) -> dict[str, "Cursor"]:
        if not isinstance(self.value, dict):
            raise Invalid(f"a map is expected, not {kind_of(self.node)}")
        return {key: self._entry(key, entry) for key, entry in self.value.items()}

    def _entry(self, key: str, entry: Entry) -> "Cursor":
        name = key if re.fullmatch(r"[\w.-]{1,64}", key, re.ASCII) else repr(key[:64])
        path = f"{self.path}.{name}" if self.path else name
        return Cursor(entry.node, path, self.faults, entry.node.mark or entry.key)


class Section:
    """A map whose keys are known: each is taken once, and what is left over is refused."""

    def __init__(self, cursor: Cursor, known: Sequence[str]) -> None:
        self.cursor = cursor
        nothing: dict[str, Cursor] = {}
        self.entries = cursor.read(Cursor.entries, nothing)
        self.known = known
        for key in self.entries.keys() - set(known):
            self._refuse(key)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def take(self, key: str, reader: Callable[[Cursor], V], default: V) -> V:
        """The key's value, or the default where the key is absent or its value is refused."""
        cursor = self.entries.get(key)
        return default if cursor is None else cursor.read(reader, default)

    def need(self, key: str, reader: Callable[[Cursor], V], default: V) -> V:
        if key not in self.entries and isinstance(self.cursor.value, dict):
            self.cursor.fail(f"{key!r} is missing")
        return self.take(key, reader, default)

    def _refuse(self, key: str) -> None:
        entry = self.cursor.value[key]
        what = f"there is no key {key[:64]!r} here: {suggestion(key, self.known)}"
        self.cursor.faults.add(entry.key, self.entries[key].path, what)


def kind_of(node: Node) -> str:
    match node.value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return f"the number {node.value}"
        case str():
            return f"the text {node.value[:40]!r}"
        case list():
            return "a list"
    return "a map"


def text(cursor: Cursor) -> str:
    if not isinstance(cursor.value, str):
        raise Invalid(f"text is expected, not {kind_of(cursor.node)}: put it in quotes")
    return cursor.value


def short_text(cursor: Cursor) -> str:
    value = text(cursor)
    if len(value) > 10_000:
        raise Invalid("at most 10000 characters")
    return value


def filled_text(cursor: Cursor) -> str:
    if not text(cursor):
        raise Invalid("it must not be empty: leave the key out")
    return text(cursor)


def flag(cursor: Cursor) -> bool:
    if not isinstance(cursor.value, bool):
        raise Invalid(f"true or false is expected, not {kind_of(cursor.node)}")
    return cursor.value


def whole(least: int, most: int) -> Callable[[Cursor], int]:
    def reader(cursor: Cursor) -> int:
        value = cursor.value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Invalid(
                f"a whole number from {least} to {most} is expected, not {kind_of(cursor.node)}"
            )
        return value

    return reader


def decimal(least: float, most: float) -> Callable[[Cursor], float]:
    def reader(cursor: Cursor) -> float:
        value = cursor.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid(f"a number is expected, not {kind_of(cursor.node)}")
        if not least <= value <= most:
            raise Invalid(f"a number from {least:g} to {most:g} is expected, not {value:g}")
        return float(value)

    return reader


def one_of(*choices: str) -> Callable[[Cursor], str]:
    def reader(cursor: Cursor) -> str:
        if cursor.value not in choices or not isinstance(cursor.value, str):
            meant = suggestion(str(plain(cursor.node))[:64], choices)
            raise Invalid(f"{kind_of(cursor.node)} is not a choice: {meant}")
        return cursor.value

    return reader


def matching(pattern: re.Pattern[str], rule: str) -> Callable[[Cursor], str]:
    def reader(cursor: Cursor) -> str:
        if not isinstance(cursor.value, str) or not pattern.fullmatch(cursor.value):
            raise Invalid(f"{kind_of(cursor.node)} is no name: {rule}")
        return cursor.value

    return reader


def texts(cursor: Cursor) -> dict[str, str]:
    """A map from names to texts, as labels are."""
    return {key: short_text(each) for key, each in cursor.entries().items()}
