"""What is to be said over one connection, until it is said."""

import asyncio
from collections import deque
from collections.abc import Iterable

MOST_WAITING = 500  # frames: who takes none of so many is not there any more
MOST_CHARACTERS = 16 << 20  # in them
BEHIND = 1 << 20  # characters that wait: it gets no more work until it has taken them


class Line:
    """Whoever speaks puts it here and never waits."""

    def __init__(self) -> None:
        self.why: tuple[int, str] | None = None  # it is to be closed
        self.waiting: deque[str] = deque()
        self.size = 0  # of what waits
        self._arrived = asyncio.Event()

    def send(self, texts: Iterable[str]) -> None:
        if self.why:
            return
        if len(self.waiting) >= MOST_WAITING or self.size >= MOST_CHARACTERS:
            self.close(4408, "it takes nothing of what it is sent")
            return
        for text in texts:
            self.waiting.append(text)
            self.size += len(text)
        self._arrived.set()

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
        return text
