"""Output that is kept until the exit record is acknowledged: in memory while small, then on disk.

A file is a row of frames (offset, stream, length, data), so that it can be read again after its
runner's death, and a gap between head and tail needs no word of its own.
"""

import contextlib
import os
import struct
from collections.abc import Iterable

from executor.spool import Quota
from executor.wire import INLINE, Segment

FRAME = struct.Struct(">QBI")
BLOCK = 128 << 10
MOST_IN_MEMORY = 256  # segments; alternating streams make many small ones


class Shelf:
    """Where outputs lie: one folder, one quota."""

    def __init__(self, folder: int, quota: Quota):
        self.quota = quota
        with contextlib.suppress(FileExistsError):
            os.mkdir("out", 0o700, dir_fd=folder)
        self.folder = os.open("out", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)

    def create(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(name, flags, 0o600, dir_fd=self.folder)

    def reopen(self, name: str) -> int:
        return os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.folder)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.folder)

    def clear(self, keep: Iterable[str]) -> None:
        """Remove what no exit record speaks of any more."""
        for name in set(os.listdir(self.folder)) - set(keep):
            self.remove(name)


class Stored:
    """One attempt's output, readable from any offset until it is discarded."""

    def __init__(self, shelf: Shelf, key: str):
        self.shelf = shelf
        self.key = key
        self.memory: list[Segment] = []
        self.memory_size = 0
        self.file: int | None = None
        self.file_size = 0
        self.cursor = (0, 0)  # a place in the file, and the offset before which all lies behind it

    @classmethod
    def recovered(cls, shelf: Shelf, key: str) -> "Stored":
        stored = cls(shelf, key)
        stored.file = shelf.reopen(key)
        stored.file_size = os.fstat(stored.file).st_size
        shelf.quota.used += stored.file_size
        return stored

    def add(self, segment: Segment) -> bool:
        """False where disk or quota have no room for it; then nothing of it is kept."""
        if self.file is not None:
            return self.write(segment)
        if self.fits_in_memory(segment):
            self.remember(segment)
            return True
        return self.spill() and self.write(segment)

    def fits_in_memory(self, segment: Segment) -> bool:
        small = self.memory_size + len(segment[2]) <= INLINE
        return small and len(self.memory) < MOST_IN_MEMORY

    def remember(self, segment: Segment) -> None:
        offset, stream, data = segment
        self.memory_size += len(data)
        if self.memory:
            start, last, before = self.memory[-1]
            if last == stream and start + len(before) == offset:
                self.memory[-1] = (start, stream, before + data)
                return
        self.memory.append(segment)

    def spill(self) -> bool:
        """Move what memory holds to disk; from now on the file has it all."""
        try:
            self.file = self.shelf.create(self.key)
        except OSError:
            return False
        if not all(map(self.write, self.memory)):
            self.discard()
            return False
        self.memory.clear()
        return True

    def write(self, segment: Segment) -> bool:
        assert self.file is not None
        offset, stream, data = segment
        size = FRAME.size + len(data)
        if not self.shelf.quota.take(size):
            return False
        try:
            done = os.pwritev(
                self.file, [FRAME.pack(offset, stream, len(data)), data], self.file_size
            )
        except OSError:
            done = -1
        if done < size:
            with contextlib.suppress(OSError):
                os.ftruncate(self.file, self.file_size)
            self.shelf.quota.give_back(size)
            return False
        self.file_size += size
        return True

    def read(self, offset: int, limit: int) -> list[Segment]:
        """What lies at `offset` and after it, `limit` bytes of it at most."""
        found: list[Segment] = []
        for segment in self.frames(offset) if self.file is not None else self.memory:
            start, stream, data = segment
            if start + len(data) <= offset:
                continue
            data = data[max(0, offset - start) :][:limit]
            found.append((max(start, offset), stream, data))
            limit -= len(data)
            if limit <= 0:
                break
        return found

    def frames(self, offset: int) -> Iterable[Segment]:
        place, passed = self.cursor if offset >= self.cursor[1] else (0, 0)
        while place < self.file_size:
            block = self.read_block(place)
            at = 0
            while len(block) - at >= FRAME.size:
                start, stream, size = FRAME.unpack_from(block, at)
                after = at + FRAME.size + size
                if after > len(block):
                    break
                if start + size <= offset:
                    passed = start + size
                    self.cursor = (place + after, passed)
                yield start, stream, block[at + FRAME.size : after]
                at = after
            if at == 0:
                return  # the last frame was never finished
            place += at

    def read_block(self, place: int) -> bytes:
        """Some frames, but one at least, however long it is."""
        assert self.file is not None
        block = os.pread(self.file, BLOCK, place)
        if len(block) < FRAME.size:
            return block
        _, _, size = FRAME.unpack_from(block)
        longer = FRAME.size + size
        return block if longer <= BLOCK else os.pread(self.file, longer, place)

    def discard(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None
            self.shelf.remove(self.key)
            self.shelf.quota.give_back(self.file_size)
            self.file_size = 0


class Outlet:
    """How far an attempt's output has come on its way: sent, and received for good."""

    def __init__(self, stored: Stored):
        self.stored = stored
        self.sent = 0
        self.received = 0

    def rewind(self, offset: int | None = None) -> None:
        """For a new connection: begin again behind what was received."""
        if offset is not None:
            self.received = offset
        self.sent = self.received

    def take(self, limit: int) -> list[Segment]:
        segments = self.stored.read(self.sent, limit)
        if segments:
            offset, _, data = segments[-1]
            self.sent = offset + len(data)
        return segments
