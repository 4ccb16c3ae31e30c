"""Starts that are answered before they are stored: for those who make more of them than they can
wait for, and who can bear to lose some.

What lies here is in memory and nowhere else. A server that ends in good order stores it first; one
that is killed, or whose database is away for longer than it is patient, loses it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from scheduler.domain.errors import Refusal, TooMany
from scheduler.services.runs import Begun
from scheduler.services.starts import Wish

log = logging.getLogger(__name__)

AT_ONCE = 200
TRY_AGAIN = 0.5  # seconds
PATIENCE = 3.0  # seconds that a server which ends stays for it

Start = Callable[[Sequence[Wish]], Awaitable[Sequence[Begun | Exception]]]


class Shelf:
    """Bounded by number and by size: who finds no room is told to come again."""

    def __init__(self, start: Start, *, most: int, bytes: int) -> None:
        self._start, self._most, self._bytes = start, most, bytes
        self._waiting: deque[tuple[Wish, int]] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.dropped = 0  # wishes that something was wrong with

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, wish: Wish, size: int) -> None:
        if len(self._waiting) >= self._most or self._size + size > self._bytes:
            raise TooMany("too many starts wait to be stored: this was not taken", seconds=1)
        self._waiting.append((wish, size))
        self._size += size
        self._emptied.clear()
        self._arrived.set()

    async def work(self) -> None:
        """While the database is away they wait, and so does whoever brings more."""
        while True:
            await self._arrived.wait()
            batch = [wish for wish, _ in list(self._waiting)[:AT_ONCE]]
            try:
                answers = await self._start(batch)
            except Exception as error:
                log.warning("starts wait to be stored", extra={"error": str(error)[:200]})
                await asyncio.sleep(TRY_AGAIN)
                continue
            self._forget(len(batch))
            self._note([each for each in answers if isinstance(each, Exception)])

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._size -= self._waiting.popleft()[1]
        if not self._waiting:
            self._arrived.clear()
            self._emptied.set()

    def _note(self, wrong: Sequence[Exception]) -> None:
        """Nobody waits to be told, so whoever runs the server is."""
        self.dropped += len(wrong)
        for each in wrong[:1]:
            said = str(each) if isinstance(each, Refusal) else repr(each)
            log.warning("starts dropped", extra={"count": len(wrong), "first": said[:300]})

    async def emptied(self) -> bool:
        """Whether all of it was stored in time."""
        try:
            await asyncio.wait_for(self._emptied.wait(), PATIENCE)
        except TimeoutError:
            log.error("starts lost with the server", extra={"count": len(self)})
            return False
        return True
