"""What a command prints: masked, counted, and kept at both ends when it is too much.

Offsets count masked bytes of both streams together, in order of arrival.
"""

from collections import deque
from typing import Protocol

from executor.wire import Segment

LONGEST_TAIL = 256 << 10
LONGEST_SEGMENT = 64 << 10


class Masker(Protocol):
    """Hides secrets in one stream. It may hold bytes back until it knows what they begin."""

    def feed(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class Bare:
    """The masker of a command that was given no secrets."""

    def feed(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class Capture:
    """Cuts a flood down to its head and its tail, and knows exactly what lies between.

    The head is handed out as it comes; the tail waits here until the command has ended.
    """

    def __init__(self, cap: int):
        self.tail_room = min(cap // 4, LONGEST_TAIL)
        self.head_room = cap - self.tail_room
        self.tail: deque[Segment] = deque()
        self.tail_size = 0
        self.size = 0
        self.dropped = 0

    def feed(self, stream: int, data: bytes) -> Segment | None:
        """Take what was printed; returns the part that belongs to the head."""
        offset = self.size
        self.size += len(data)
        head = data[: self.head_room]
        self.head_room -= len(head)
        if len(head) < len(data):
            self.keep_in_tail(offset + len(head), stream, data[len(head) :])
        return (offset, stream, head) if head else None

    def close_head(self) -> None:
        """There is no room for more of the head: everything from here on is tail."""
        self.head_room = 0

    def refuse(self, segment: Segment) -> None:
        """Take back a part of the head that could not be stored: it counts as dropped."""
        self.dropped += len(segment[2])

    def keep_in_tail(self, offset: int, stream: int, data: bytes) -> None:
        self.join_tail(offset, stream, data)
        self.tail_size += len(data)
        while self.tail_size > self.tail_room:
            self.trim_tail(self.tail_size - self.tail_room)

    def join_tail(self, offset: int, stream: int, data: bytes) -> None:
        if self.tail:
            start, last, before = self.tail[-1]
            if last == stream and len(before) + len(data) <= LONGEST_SEGMENT:
                self.tail[-1] = (start, stream, before + data)
                return
        self.tail.append((offset, stream, data))

    def trim_tail(self, excess: int) -> None:
        offset, stream, data = self.tail.popleft()
        if len(data) > excess:
            self.tail.appendleft((offset + excess, stream, data[excess:]))
        cut = min(excess, len(data))
        self.tail_size -= cut
        self.dropped += cut

    def finish(self) -> list[Segment]:
        """The tail, each part at its true offset."""
        segments = list(self.tail)
        self.tail.clear()
        self.tail_size = 0
        return segments
