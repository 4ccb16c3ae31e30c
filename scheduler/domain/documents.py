"""Texts of YAML or JSON as trees of nodes that know where they stand.

YAML is read by its events, so nothing is built before it is counted: no tags, no YAML 1.1
guesses (`no` is text), no repeated keys, and aliases count as if they were written out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

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
        lines = self.raw[:found].split("\n")
        if len(lines) == 1:
            return Mark(self.mark.line, self.mark.column + found)
        return Mark(self.mark.line + len(lines) - 1, len(lines[-1]) + 1)


class UnreadableDocument(Invalid):
    def __init__(self, message: str, mark: Mark | None) -> None:
        super().__init__(message)
        self.mark = mark


def load(text: str) -> list[Node]:
    """Every document of the text; raises UnreadableDocument."""
    if len(text) > LONGEST:
        raise UnreadableDocument(f"longer than {LONGEST} characters: split the file", None)
    return list(_documents(text))


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
        raise UnreadableDocument(f"nested more than {DEEPEST} deep", None)
    if isinstance(value, list):
        return Node([node_of(item, depth + 1) for item in value])
    if isinstance(value, dict):
        nowhere = Mark(0, 0)
        return Node({str(k): Entry(nowhere, node_of(v, depth + 1)) for k, v in value.items()})
    return Node(value)


def _documents(text: str) -> Iterator[Node]:
    try:
        builder = _Builder(text)
        for event in builder.events:
            if isinstance(event, yaml.DocumentStartEvent):
                yield builder.node(next(builder.events), 0)
    except yaml.MarkedYAMLError as error:
        what = " ".join(filter(None, (error.context, error.problem))) or "not YAML"
        raise UnreadableDocument(what, _mark(error.problem_mark)) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n") if isinstance(error.position, int) else [""]
        where = Mark(len(before), len(before[-1]) + 1)
        raise UnreadableDocument(
            f"the character {error.character!r} can't be used", where
        ) from None
    except yaml.YAMLError as error:
        raise UnreadableDocument(str(error), None) from None


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def node(self, event: Any, depth: int) -> Node:
        mark = _mark(event.start_mark)
        if depth > DEEPEST:
            raise UnreadableDocument(f"nested more than {DEEPEST} deep", mark)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor, mark)
        if event.tag is not None:
            raise UnreadableDocument(f"tags such as {event.tag[:40]} are not used here", mark)
        self.spend(1, mark)
        node = self.built(event, mark, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def built(self, event: Any, mark: Mark | None, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            items = list(self.sequence(depth))
            return Node(items, mark, size=1 + sum(item.size for item in items))
        if isinstance(event, yaml.MappingStartEvent):
            entries = self.mapping(depth)
            return Node(entries, mark, size=1 + sum(e.node.size for e in entries.values()))
        raw = self.text[event.start_mark.index : event.end_mark.index]
        return Node(_scalar(event, mark), mark, raw if "${{" in raw else "")

    def alias(self, anchor: str | None, mark: Mark | None) -> Node:
        node = self.anchors.get(str(anchor))
        if node is None:
            raise UnreadableDocument(f"there is no anchor &{str(anchor)[:40]} before this", mark)
        self.spend(node.size, mark)
        return node

    def sequence(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self.node(event, depth + 1)

    def mapping(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            mark = _mark(event.start_mark) or Mark(1, 1)
            key = _key(event, mark)
            if key in entries:
                raise UnreadableDocument(
                    f"{key[:80]!r} is there already, in line {entries[key].key.line}: keep one",
                    mark,
                )
            entries[key] = Entry(mark, self.node(next(self.events), depth + 1))
        return entries

    def spend(self, nodes: int, mark: Mark | None) -> None:
        self.count += nodes
        if self.count > MOST_NODES:
            raise UnreadableDocument(f"more than {MOST_NODES} values: split the file", mark)


def _mark(mark: Any) -> Mark | None:
    return Mark(mark.line + 1, mark.column + 1) if mark else None


def _key(event: Any, mark: Mark) -> str:
    if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
        raise UnreadableDocument("a key is plain text", mark)
    if event.value == "<<" and event.style is None:
        raise UnreadableDocument("'<<' does not merge here: write the keys out", mark)
    return _text(event.value, mark)


def _text(value: str, mark: Mark | None) -> str:
    try:
        # JSON writes a character beyond 16 bits as two escapes.
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise UnreadableDocument("half a character can't be stored", mark) from None
    if "\0" in whole:
        raise UnreadableDocument("the character NUL can't be stored", mark)
    return whole


_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_PADDED = re.compile(r"[-+]?0[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_ODD = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)


def _scalar(event: Any, mark: Mark | None) -> Scalar:
    text = _text(event.value, mark)
    if event.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _PADDED.fullmatch(text) or _ODD.fullmatch(text):
        raise UnreadableDocument(
            f"{text[:40]} may mean several things: write a plain number, or quote it", mark
        )
    if not _FLOAT.fullmatch(text):
        return text
    return _number(text, mark)


def _number(text: str, mark: Mark | None) -> int | float:
    number = int(text) if _INTEGER.fullmatch(text) and len(text) < 25 else float(text)
    if not -(2**63) <= number < 2**63:
        raise UnreadableDocument(f"{text[:40]} is too large a number: quote it", mark)
    return number
