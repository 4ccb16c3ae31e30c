"""Work that outlives its database connection."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection, InterfaceError, OperationalError, errors

log = logging.getLogger(__name__)

AWAY = (OperationalError, InterfaceError, errors.IdleInTransactionSessionTimeout)
Work = Callable[[AsyncConnection[Any]], Awaitable[None]]
Connect = Callable[[], Awaitable[AsyncConnection[Any]]]


async def keep_going(connect: Connect, work: Work, *, name: str) -> None:
    """Give `work` a connection, and a new one whenever the database went away.

    `work` keeps what it must not lose outside the call. Anything but a lost connection is a
    fault of ours and ends the process: loud beats limping.
    """
    delay = 0.05
    while True:
        try:
            async with await connect() as conn:
                delay = 0.05
                await work(conn)
                return
        except AWAY as error:
            log.warning("database away", extra={"loop": name, "error": str(error).strip()})
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(delay * 2, 2.0)
