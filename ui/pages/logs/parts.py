"""Stored bytes as lines to show: two streams, characters cut in two, colours, and gaps.

Every line knows the byte at which it begins, which is its address for good.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from scheduler.store.output import Chunk
from ui import words
from ui.ansi import Piece, Reader

AT = "at"  # the style of a piece that says where a line begins
GAP = "gap"
NEWLINE = b"\n"


@dataclass(slots=True)
class Pieces:
    """Turns stored chunks into what is shown, one after the other."""

    at: int
    missing: str = "are not here yet"
    is_new: bool = True  # whether a line begins here
    readers: dict[int, Reader] = field(default_factory=lambda: {1: Reader(), 2: Reader()})
    decoders: dict[int, codecs.IncrementalDecoder] = field(
        default_factory=lambda: {
            each: codecs.getincrementaldecoder("utf-8")("replace") for each in (1, 2)
        }
    )

    def of(self, chunk: Chunk, end: int | None = None) -> Iterator[Piece]:
        if chunk.start > self.at:
            yield GAP, f"{between(self.at, chunk.start)} {self.missing}"
            self.at, self.is_new = chunk.start, True
        data = chunk.data[self.at - chunk.start : None if end is None else end - chunk.start]
        for line in split(data):
            if self.is_new:
                yield AT, str(self.at)
            self.at += len(line)
            self.is_new = line.endswith(NEWLINE)
            yield from self.shown(chunk.stream, line)

    def shown(self, stream: int, line: bytes) -> Iterator[Piece]:
        text = self.decoders[stream].decode(line)
        for style, piece in self.readers[stream].read(text):
            yield (f"err {style}".strip() if stream == 2 else style), piece


def split(data: bytes) -> Iterator[bytes]:
    """Lines with their newlines; the last may have none."""
    at = 0
    while at < len(data):
        end = data.find(NEWLINE, at) + 1 or len(data)
        yield data[at:end]
        at = end


def between(start: int, end: int) -> str:
    size = end - start
    return f"bytes {words.number(start)} to {words.number(end - 1)} ({words.size(size)})"


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours of one style are one piece, but for what is an address."""
    found: list[Piece] = []
    for style, text in pieces:
        if found and found[-1][0] == style and style not in (AT, GAP):
            found[-1] = (style, found[-1][1] + text)
        else:
            found.append((style, text))
    return found
