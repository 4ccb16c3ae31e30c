"""YAML, read by its events, so nothing is built before it is counted.

No tags, no YAML 1.1 guesses (`no` is text), no repeated keys; an alias counts as if what it
stands for were written out.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from scheduler.domain.nodes import (
    Count,
    Entry,
    Mark,
    Node,
    Scalar,
    UnreadableDocument,
    add_entry,
    checked_number,
    checked_text,
)


def load(text: str) -> list[Node]:
    try:
        return list(_Builder(text).documents())
    except yaml.MarkedYAMLError as error:
        what = ", ".join(filter(None, (error.context, error.problem))) or "this is no YAML"
        raise UnreadableDocument(what, _mark(error.problem_mark)) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        mark = Mark(len(before), len(before[-1]) + 1)
        raise UnreadableDocument("this character can't be used: write it as \\u…", mark) from None


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.anchors: dict[str, Node] = {}
        self.count = Count()

    def documents(self) -> Iterator[Node]:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors.clear()
                yield self.node(next(self.events), 0)

    def node(self, event: Any, depth: int) -> Node:
        mark = _mark(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor, depth, mark)
        if event.tag is not None:
            raise UnreadableDocument(f"tags such as {event.tag[:40]} are not used here", mark)
        self.count.add(1, depth, mark)
        node = self.built(event, mark, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def built(self, event: Any, mark: Mark, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            items = list(self.sequence(depth))
            return Node(items, mark, size=1 + sum(item.size for item in items))
        if isinstance(event, yaml.MappingStartEvent):
            entries = self.mapping(depth)
            return Node(entries, mark, size=1 + sum(e.node.size for e in entries.values()))
        raw = self.text[event.start_mark.index : event.end_mark.index]
        return Node(_scalar(event, mark), mark, raw)

    def alias(self, anchor: str | None, depth: int, mark: Mark) -> Node:
        node = self.anchors.get(str(anchor))
        if node is None:
            raise UnreadableDocument(f"there is no anchor &{str(anchor)[:40]} before this", mark)
        self.count.add(node.size, depth, mark)
        if depth and isinstance(node.value, list | dict):
            _refuse_too_deep(node, depth, self.count, mark)
        return node

    def sequence(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self.node(event, depth + 1)

    def mapping(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            mark = _mark(event.start_mark)
            key = _key(event, mark)
            add_entry(entries, key, mark, self.node(next(self.events), depth + 1))
        return entries


def _refuse_too_deep(node: Node, depth: int, count: Count, mark: Mark) -> None:
    """An alias inside of an alias may nest deeper than anything that is written."""
    count.add(0, depth, mark)
    if isinstance(node.value, list):
        inner = node.value
    else:
        inner = [e.node for e in node.value.values()] if isinstance(node.value, dict) else []
    for each in inner:
        _refuse_too_deep(each, depth + 1, count, mark)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)


def _key(event: Any, mark: Mark) -> str:
    if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
        raise UnreadableDocument("a key is plain text", mark)
    if event.value == "<<" and event.style is None:
        raise UnreadableDocument("'<<' does not merge here: write the keys out", mark)
    return checked_text(event.value, mark)


_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_ODD = re.compile(
    r"[-+]?0[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)


def _scalar(event: Any, mark: Mark) -> Scalar:
    text = checked_text(event.value, mark)
    if event.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _ODD.fullmatch(text):
        raise UnreadableDocument(
            f"{text[:40]} may mean several things: write a plain number, or quote it", mark
        )
    return checked_number(text, mark) if _NUMBER.fullmatch(text) else text
