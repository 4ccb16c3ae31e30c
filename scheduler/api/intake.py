"""Where events come in: those that come together are stored together, within bounds.

Whoever gets no answer but a 429 has had nothing stored, and may send it again later.
"""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from psycopg import AsyncConnection

from scheduler.api.allowances import Allowance
from scheduler.api.together import Answers, Together
from scheduler.domain.errors import TooMany
from scheduler.services.events import Sent
from scheduler.settings import EventSettings
from scheduler.store import routing

Connection = Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]]

AT_ONCE = 50
LOOK_EVERY = 0.5  # seconds: so old may be what is known of the backlog


class Intake:
    def __init__(
        self, settings: EventSettings, connection: Connection, receive: Answers[Sent, int]
    ) -> None:
        self.together: Together[Sent, int] = Together(receive, most=AT_ONCE)
        self.accepted, self.failed = Allowance(), Allowance()  # calls of webhooks
        self._settings = settings
        self._connection = connection
        self._in_hand = 0
        self._is_full = False
        self._looked = -LOOK_EVERY

    async def store(self, sent: Sent, size: int) -> int:
        """How many of them were not known yet; the answer comes after their commit."""
        self._require_memory(size)
        self._in_hand += size
        try:
            await self.require_room()
            return await self.together.ask(sent)
        finally:
            self._in_hand -= size

    def _require_memory(self, size: int) -> None:
        if self._in_hand and self._in_hand + size > self._settings.in_hand:
            raise TooMany("too much waits to be stored: nothing of this was taken", seconds=1)

    async def require_room(self) -> None:
        if time.monotonic() - self._looked >= LOOK_EVERY:
            self._looked = time.monotonic()
            async with self._connection() as conn:
                most = self._settings.backlog
                self._is_full = await routing.backlog(conn, most) >= most
        if self._is_full:
            raise TooMany(
                f"{self._settings.backlog} events wait to be routed: nothing of this was taken",
                seconds=2,
            )
