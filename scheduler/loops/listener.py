"""Hearing what others commit. A listener proves itself by hearing its own voice."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from psycopg import AsyncConnection, OperationalError

from scheduler.domain.wakes import CHANNEL, Wake, decode, everything

log = logging.getLogger(__name__)

PROOF_EVERY = 30.0
PROOF_WITHIN = 5.0
PROOF = "proof:"


class Listener:
    def __init__(self, heard: Callable[[Wake], None]) -> None:
        self._heard = heard
        self._nonce = ""
        self._proved = True

    async def work(self, conn: AsyncConnection[Any]) -> None:
        await conn.execute(f"listen {CHANNEL}")
        # What was said while nobody listened is not known: look at everything once.
        self._heard(everything())
        while True:
            await self._hear(conn, PROOF_EVERY)
            self._nonce, self._proved = PROOF + secrets.token_hex(8), False
            await conn.execute("select pg_notify(%s, %s)", [CHANNEL, self._nonce])
            await self._hear(conn, PROOF_WITHIN)
            if not self._proved:
                raise OperationalError("the listening connection is deaf")

    async def _hear(self, conn: AsyncConnection[Any], seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            async for notification in conn.notifies(timeout=left, stop_after=1):
                self._take(notification.payload)
            if seconds == PROOF_WITHIN and self._proved:
                return

    def _take(self, payload: str) -> None:
        if payload.startswith(PROOF):
            self._proved |= payload == self._nonce
        else:
            self._heard(decode(payload))
