"""Nodes of a document: values that know where they stand."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from scheduler.domain.errors import Invalid

LONGEST = 1 << 20  # characters
MOST_NODES = 50_000
DEEPEST = 40

Scalar = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Mark:
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Entry:
    key: Mark
    node: "Node"


@dataclass(frozen=True, slots=True)
class Node:
    value: "Scalar | list[Node] | dict[str, Entry]"
    mark: Mark | None = None
    raw: str = ""  # a text as it is written, where that is known
    size: int = 1  # nodes in it, aliases written out

    def place_of(self, part: str) -> Mark | None:
        """Where a part of this text stands, if it is written there as it is."""
        found = self.raw.find(part)
        if self.mark is None or found < 0:
            return self.mark
        before = self.raw[:found].split("\n")
        if len(before) == 1:
            return Mark(self.mark.line, self.mark.column + found)
        return Mark(self.mark.line + len(before) - 1, len(before[-1]) + 1)


class UnreadableDocument(Invalid):
    def __init__(self, message: str, mark: Mark | None = None) -> None:
        super().__init__(message)
        self.mark = mark


def plain(node: Node) -> Any:
    """The bare values."""
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    return node.value


def node_of(value: Any, depth: int = 0) -> Node:
    """A tree without places, of values that were read before."""
    if depth > DEEPEST:
        raise UnreadableDocument(f"nested more than {DEEPEST} deep")
    if isinstance(value, list):
        return Node([node_of(item, depth + 1) for item in value])
    if isinstance(value, dict):
        nowhere = Mark(0, 0)
        return Node({str(k): Entry(nowhere, node_of(v, depth + 1)) for k, v in value.items()})
    return Node(value)


def checked_text(value: str, mark: Mark | None) -> str:
    """The text, if it can be stored: PostgreSQL keeps neither NUL nor half a character."""
    try:
        # JSON writes a character beyond 16 bits as two escapes.
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise UnreadableDocument("half a character can't be stored", mark) from None
    if "\0" in whole:
        raise UnreadableDocument("the character NUL can't be stored", mark)
    return whole


def checked_number(text: str, mark: Mark | None) -> int | float:
    if set(text) & set(".eE"):
        number: int | float = float(text)
        fits = isfinite(number)
    else:
        number = int(text[:25])
        fits = len(text) <= 25 and -(2**63) <= number < 2**63
    if not fits:
        raise UnreadableDocument(f"{text[:40]} is too large a number: quote it", mark)
    return number


def add_entry(entries: dict[str, Entry], key: str, mark: Mark, node: Node) -> None:
    if key in entries:
        line = entries[key].key.line
        raise UnreadableDocument(f"{key[:80]!r} is there already, in line {line}: keep one", mark)
    entries[key] = Entry(mark, node)


class Count:
    """How many values there are, so that a small file can't become a large one."""

    def __init__(self) -> None:
        self.nodes = 0

    def add(self, nodes: int, depth: int, mark: Mark | None) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            raise UnreadableDocument(f"more than {MOST_NODES} values: split the file", mark)
        if depth > DEEPEST:
            raise UnreadableDocument(f"nested more than {DEEPEST} deep", mark)
