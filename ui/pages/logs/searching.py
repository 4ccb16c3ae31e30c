"""Looking for something in a log, onwards or back, a few megabytes at a time."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ui.ansi import Piece
from ui.pages.logs.parts import AT, NEWLINE
from ui.pages.logs.reading import Log

SEARCHED = 4 << 20  # bytes that one search looks through
KEPT = 1 << 10  # of them are seen twice, for what lies on an edge
TROUBLE = r"(?i)\b(error|exception|traceback|fatal|panic|failed)\b"
Pattern = re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Searched:
    """Where the line of the hit begins and the hit ends, and how far was looked."""

    line: int | None
    start: int
    end: int


def pattern_of(sought: str | None) -> Pattern:
    """A text in whatever case; without one, what programs say when something is wrong."""
    if sought is None:
        return re.compile(TROUBLE.encode())
    return re.compile(re.escape(sought.encode()), re.IGNORECASE)


async def onward(log: Log, start: int, sought: str | None) -> Searched:
    """The next hit that begins at `start` or behind it."""
    pattern, at, kept, began = pattern_of(sought), start, b"", start
    async for chunk in log.onward(start, SEARCHED):
        if chunk.start > at:
            kept, began = b"", chunk.start
        kept += chunk.data
        if hit := pattern.search(kept):
            return found(kept, began, hit)
        at = chunk.start + len(chunk.data)
        kept = kept[-KEPT:]
        began = at - len(kept)
    return Searched(None, start, at)


async def back(log: Log, end: int, sought: str | None) -> Searched:
    """The last hit that begins before `end`."""
    pattern, at, kept = pattern_of(sought), end, b""
    async for chunk in log.back(end, SEARCHED):
        size = len(chunk.data)
        text = chunk.data + (kept if chunk.start + size == at else b"")
        if hits := [hit for hit in pattern.finditer(text) if hit.start() < size]:
            return found(text, chunk.start, hits[-1])
        at, kept = chunk.start, chunk.data[:KEPT]
    return Searched(None, at, end)


def found(text: bytes, began: int, hit: re.Match[bytes]) -> Searched:
    line = text.rfind(NEWLINE, 0, hit.start()) + 1
    return Searched(began + line, began + hit.start(), began + hit.end())


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
