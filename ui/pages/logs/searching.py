"""Looking for something in a log, onwards or back, a few megabytes at a time."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ui.ansi import Piece
from ui.pages.logs.parts import AT, NEWLINE
from ui.pages.logs.reading import Log

SEARCHED = 4 << 20  # bytes that one search looks through
KEPT = 1 << 10  # of them are seen twice, for what lies on an edge
TROUBLE = (b"error", b"exception", b"traceback", b"fatal", b"panic", b"failed")
WORD = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_")


@dataclass(frozen=True, slots=True)
class Needle:
    """What is looked for, in whatever case: a text, or whole words of which any will do."""

    texts: Sequence[bytes]
    is_word: bool

    def first(self, text: bytes) -> tuple[int, int] | None:
        low = text.lower()
        found = [each for text in self.texts if (each := self._onward(low, text)) is not None]
        return min(found, default=None)

    def last(self, text: bytes, before: int) -> tuple[int, int] | None:
        """The last that begins before a place."""
        low = text.lower()
        found = [each for text in self.texts if (each := self._back(low, text, before)) is not None]
        return max(found, default=None)

    def _onward(self, low: bytes, text: bytes) -> tuple[int, int] | None:
        at = low.find(text)
        while at >= 0 and not self._fits(low, at, at + len(text)):
            at = low.find(text, at + 1)
        return (at, at + len(text)) if at >= 0 else None

    def _back(self, low: bytes, text: bytes, before: int) -> tuple[int, int] | None:
        at = low.rfind(text, 0, before - 1 + len(text))
        while at >= 0 and not self._fits(low, at, at + len(text)):
            at = low.rfind(text, 0, at - 1 + len(text))
        return (at, at + len(text)) if at >= 0 else None

    def _fits(self, low: bytes, start: int, end: int) -> bool:
        if not self.is_word:
            return True
        return not (low[start - 1 : start] and low[start - 1] in WORD) and not (
            low[end : end + 1] and low[end] in WORD
        )


def needle_of(sought: str | None) -> Needle:
    """A text; without one, what programs say when something is wrong."""
    if sought is None:
        return Needle(TROUBLE, is_word=True)
    return Needle((sought.encode().lower(),), is_word=False)


@dataclass(frozen=True, slots=True)
class Searched:
    """Where the line of the hit begins and the hit ends, and how far was looked."""

    line: int | None
    start: int
    end: int


async def onward(log: Log, start: int, sought: str | None) -> Searched:
    """The next hit that begins at `start` or behind it."""
    needle, at, kept, began = needle_of(sought), start, b"", start
    async for chunk in log.onward(start, SEARCHED):
        if chunk.start > at:
            kept, began = b"", chunk.start
        kept += chunk.data
        if hit := needle.first(kept):
            return found(kept, began, hit)
        at = chunk.start + len(chunk.data)
        kept = kept[-KEPT:]
        began = at - len(kept)
    return Searched(None, start, at)


async def back(log: Log, end: int, sought: str | None) -> Searched:
    """The last hit that begins before `end`."""
    needle, at, kept = needle_of(sought), end, b""
    async for chunk in log.back(end, SEARCHED):
        size = len(chunk.data)
        text = chunk.data + (kept if chunk.start + size == at else b"")
        if hit := needle.last(text, size):
            return found(text, chunk.start, hit)
        at, kept = chunk.start, chunk.data[:KEPT]
    return Searched(None, at, end)


def found(text: bytes, began: int, hit: tuple[int, int]) -> Searched:
    start, end = hit
    line = text.rfind(NEWLINE, 0, start) + 1
    return Searched(began + line, began + start, began + end)


def marked(pieces: Sequence[Piece], sought: str | None) -> Iterator[Piece]:
    """With every hit in a piece of its own."""
    if sought is None:
        yield from pieces
        return
    parts = re.compile(f"({re.escape(sought)})", re.IGNORECASE)
    for style, text in pieces:
        if style == AT:
            yield style, text
            continue
        for number, part in enumerate(parts.split(text)):
            if part:
                yield (f"{style} hit".strip() if number % 2 else style), part
