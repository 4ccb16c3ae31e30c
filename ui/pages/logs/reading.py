"""The part of a log that one page shows: as many bytes and lines as somebody can look at."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import AsyncConnection

from scheduler.store import log_reading
from scheduler.store.output import Chunk
from ui.ansi import Piece
from ui.pages.logs.parts import GAP, NEWLINE, Pieces, between, split

WINDOW = 64 << 10  # bytes that a page shows
LINES = 1_000  # and lines
CHUNKS = 16  # of 64 KiB at most: what one statement reads

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Log:
    """The output of one attempt."""

    conn: Conn
    task: int
    attempt: int

    async def onward(self, start: int, most: int, each: int = CHUNKS) -> AsyncIterator[Chunk]:
        """What is stored from an offset on, as far as so many bytes; small parts make it less."""
        at, left = start, most
        for _ in range(reads(most)):
            found = await log_reading.from_(self.conn, self.task, self.attempt, at, each)
            for chunk in found:
                part = behind(chunk, at)
                yield part
                at, left = part.start + len(part.data), left - len(part.data)
                if left <= 0:
                    return
            if len(found) < each:
                return

    async def back(self, end: int, most: int, each: int = CHUNKS) -> AsyncIterator[Chunk]:
        """The same backwards, the nearest first."""
        at, left = end, most
        for _ in range(reads(most)):
            found = await log_reading.before(self.conn, self.task, self.attempt, at, each)
            for chunk in found:
                part = ahead(chunk, at)
                yield part
                at, left = part.start, left - len(part.data)
                if left <= 0:
                    return
            if len(found) < each:
                return


def reads(most: int) -> int:
    """Statements for so many bytes. Parts of a program that prints slowly are small, so a few
    more than whole parts would take."""
    return 8 + most // (CHUNKS << 16)


def behind(chunk: Chunk, start: int) -> Chunk:
    if chunk.start >= start:
        return chunk
    return replace(chunk, start=start, data=chunk.data[start - chunk.start :])


def ahead(chunk: Chunk, end: int) -> Chunk:
    if chunk.start + len(chunk.data) <= end:
        return chunk
    return replace(chunk, data=chunk.data[: end - chunk.start])


@dataclass(frozen=True, slots=True)
class View:
    pieces: list[Piece]
    start: int
    end: int


async def view_from(log: Log, start: int, missing: str) -> View:
    """A page from an offset on."""
    chunks = [chunk async for chunk in log.onward(start, WINDOW)]
    return drawn(chunks, start, end_of(chunks, start), missing)


async def view_until(log: Log, end: int, missing: str) -> View:
    """A page that ends at an offset, and begins where a line does if one is near."""
    chunks = [chunk async for chunk in log.back(end, WINDOW)]
    start = start_of(chunks, end)
    if is_first(chunks, start):
        start = 0  # whatever lies before it is not there
    if not chunks and end:
        return View([(GAP, f"{between(0, end)} {missing}")], 0, end)
    return drawn(chunks[::-1], start, end, missing)


def is_first(chunks: Sequence[Chunk], start: int) -> bool:
    """Whether a page begins with the first that is stored."""
    size = sum(len(chunk.data) for chunk in chunks)
    return size < WINDOW and (not chunks or start == chunks[-1].start)


def drawn(chunks: Iterable[Chunk], start: int, end: int, missing: str) -> View:
    pieces, shown = Pieces(start, missing), list[Piece]()
    for chunk in chunks:
        if chunk.start + len(chunk.data) > start and chunk.start < end:
            shown += pieces.of(behind(ahead(chunk, end), start))
    return View(shown, start, max(pieces.at, end))


def end_of(chunks: Iterable[Chunk], start: int) -> int:
    """How far a page goes: it has room for so many bytes and lines."""
    at, room, lines = start, WINDOW, LINES
    for chunk in chunks:
        at = chunk.start
        for line in split(chunk.data):
            if len(line) > room:
                return at if at > start and room < WINDOW else at + room
            at, room = at + len(line), room - len(line)
            lines -= line.endswith(NEWLINE)
            if not lines:
                return at
    return at


def start_of(chunks: Iterable[Chunk], end: int) -> int:
    """The same from its end; in a line that is longer than a page, anywhere."""
    at, room, lines = end, WINDOW, LINES
    for chunk in chunks:
        data = chunk.data
        while data:
            place = data.rfind(NEWLINE, 0, len(data) - 1) + 1
            if len(data) - place > room:
                return at if room < WINDOW else chunk.start + len(data) - room
            at, room, lines = chunk.start + place, room - len(data) + place, lines - 1
            if not lines:
                return at
            data = data[:place]
    return at
