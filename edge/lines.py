"""What is to be said over one connection, until it is said."""

import asyncio
from collections import deque
from collections.abc import Iterable

MOST_WAITING = 500  # frames: who takes none of so many is not there any more
MOST_CHARACTERS = 16 << 20  # in them
FURTHEST_BEHIND = 128 << 20  # characters: also who takes some has to take more
BEHIND = 1 << 20  # characters that wait: it gets no more work until it has taken them


class Line:
    """Whoever speaks puts it here and never waits."""

    def __init__(self) -> None:
        self.why: tuple[int, str] | None = None  # it is to be closed
        self.waiting: deque[str] = deque()
        self.size = 0  # of what waits
        self._arrived = asyncio.Event()
        self._taken = 0  # frames
        self._seen = -1  # how many it had taken when so much waited the last time

    def send(self, texts: Iterable[str]) -> None:
        if self.why:
            return
        if self.is_stuck():
            self.close(4408, "it takes nothing of what it is sent")
            return
        for text in texts:
            self.waiting.append(text)
            self.size += len(text)
        self._arrived.set()

    def is_stuck(self) -> bool:
        """One message may be larger than all that may wait, and then takes its time."""
        if len(self.waiting) < MOST_WAITING and self.size < MOST_CHARACTERS:
            self._seen = -1
            return False
        seen, self._seen = self._seen, self._taken
        return seen == self._taken or self.size >= FURTHEST_BEHIND

    @property
    def is_behind(self) -> bool:
        return self.size >= BEHIND

    def close(self, code: int, why: str) -> None:
        if self.why is None:
            self.why = (code, why)
        self._arrived.set()

    async def next(self) -> str | None:
        """A frame that is to be sent; None when it is to be closed and nothing is left."""
        while not self.waiting:
            if self.why:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        text = self.waiting.popleft()
        self.size -= len(text)
        self._taken += 1
        return text
