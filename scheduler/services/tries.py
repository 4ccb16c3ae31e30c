"""How often strangers may try something, counted in the database before it is looked at: all
servers count together, as they do for passwords."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from psycopg import AsyncConnection

from scheduler.domain.errors import TooMany
from scheduler.settings import SignInSettings
from scheduler.store import sessions

Conn = AsyncConnection[Any]
T = TypeVar("T")

SHARED = 20  # behind one address there may be a hall full of machines


async def counted(
    conn: Conn, key: str, settings: SignInSettings, work: Callable[[], Awaitable[T]]
) -> T:
    """What `work` answers. Only what it refuses counts as a try."""
    await count(conn, key, settings)
    answer = await work()
    await sessions.forgive(conn, [key])
    return answer


async def count(conn: Conn, key: str, settings: SignInSettings, *, times: int = 1) -> None:
    found = await sessions.try_(conn, key, settings.window)
    if found["tries"] > settings.tries_of_address * SHARED * times:
        raise TooMany("too many tries from your address", seconds=max(1, found["seconds"]))
