"""Telling others, at most twenty times a second however many commits there are."""

import asyncio
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.wakes import CHANNEL, Wake
from scheduler.loops.pulse import Pulse

PAUSE = 0.05


class Announcer:
    """The first word goes out at once; what follows within the pause goes out together.

    A word that is lost with the process costs its hearers one poll.
    """

    def __init__(self) -> None:
        self._wake = Wake()
        self._pulse = Pulse()

    def say(self, wake: Wake) -> None:
        self._wake.merge(wake)
        self._pulse.poke()

    async def work(self, conn: AsyncConnection[Any]) -> None:
        while True:
            await self._pulse.wait(3600)
            if wake := self._wake:
                self._wake = Wake()
                await conn.execute("select pg_notify(%s, %s)", [CHANNEL, wake.encode()])
                await asyncio.sleep(PAUSE)
