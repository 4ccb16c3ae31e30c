"""JSON, read with the place of every value; repeated keys are refused."""

import re
from bisect import bisect_right
from json import JSONDecoder

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

_BLANKS = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_STRINGS = JSONDecoder()
_CONSTANTS: dict[str, Scalar] = {"true": True, "false": False, "null": None}


def load(text: str) -> Node:
    reader = _Reader(text)
    node = reader.value(0)
    if reader.at < len(text):
        raise reader.refuse("nothing more is expected after the end of the value")
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.count = Count()
        self._skip_blanks()

    def value(self, depth: int) -> Node:
        mark = self.mark
        self.count.add(1, depth, mark)
        match self._next:
            case "{":
                return Node(self.mapping(depth), mark)
            case "[":
                return Node(self.sequence(depth), mark)
            case '"':
                start = self.at
                return Node(self.string(), mark, self.text[start : self.at].rstrip())
        return Node(self.bare(mark), mark)

    def mapping(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        self._take("{")
        while self._next != "}":
            if entries:
                self._take(",")
            mark = self.mark
            if self._next != '"':
                raise self.refuse("a key in double quotes is expected")
            key = self.string()
            self._take(":")
            add_entry(entries, key, mark, self.value(depth + 1))
        self._take("}")
        return entries

    def sequence(self, depth: int) -> list[Node]:
        items: list[Node] = []
        self._take("[")
        while self._next != "]":
            if items:
                self._take(",")
            items.append(self.value(depth + 1))
        self._take("]")
        return items

    def string(self) -> str:
        mark = self.mark
        try:
            found, self.at = _STRINGS.raw_decode(self.text, self.at)
        except ValueError:
            raise self.refuse("this text is never closed, or holds a wrong escape") from None
        self._skip_blanks()
        return checked_text(found, mark)

    def bare(self, mark: Mark) -> Scalar:
        for word, constant in _CONSTANTS.items():
            if self.text.startswith(word, self.at):
                self._advance(len(word))
                return constant
        number = _NUMBER.match(self.text, self.at)
        if number is None:
            raise self.refuse("a value is expected")
        self._advance(len(number[0]))
        return checked_number(number[0], mark)

    def refuse(self, what: str) -> UnreadableDocument:
        return UnreadableDocument(what, self.mark)

    @property
    def mark(self) -> Mark:
        line = bisect_right(self.lines, self.at)
        return Mark(line, self.at - self.lines[line - 1] + 1)

    @property
    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, sign: str) -> None:
        if self._next != sign:
            raise self.refuse(f"{sign!r} is expected")
        self._advance(1)

    def _advance(self, count: int) -> None:
        self.at += count
        self._skip_blanks()

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self.text, self.at)
        self.at = blanks.end() if blanks else self.at
