"""Workers: let one finish what it has in hand, or give it work again. A remote one is known by the
name that it gave itself as well.
"""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errors import NotFound
from scheduler.store import holders, remote
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


async def drain(conn: Conn, name: str) -> Row:
    """It claims nothing more, and goes on with what it has."""
    return await become(conn, name, "DRAINING")


async def resume(conn: Conn, name: str) -> Row:
    return await become(conn, name, "ACTIVE")


async def become(conn: Conn, name: str, state: str) -> Row:
    if not await holders.drain(conn, name, state):
        if not await holders.drain(conn, f"{remote.NAME}{name}", state):
            raise NotFound(f"there is no living worker {name!r}: `procession workers` lists them")
        name = f"{remote.NAME}{name}"
    living = (row for row in await holders.all(conn) if row["state"] != "GONE")
    found = next((row for row in living if row["name"] == name), None)
    if found is None:
        raise NotFound(f"worker {name!r} has just ended")
    return found
