"""What kinds of chores there are: what each does, how often it is tried, and what recurs."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from executor.http import Policy
from scheduler.services.catalog import Catalog
from scheduler.services.keyring import Keys
from scheduler.settings import MailSettings
from scheduler.store import chores

Args = Mapping[str, Any]
Pool = AsyncConnectionPool[AsyncConnection[Any]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a chore works with. It holds a connection only while it needs one."""

    pool: Pool
    catalog: Catalog
    keys: Keys
    policy: Policy
    mail: MailSettings
    job: int

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        return self.pool.connection()

    async def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        async with self.connection() as conn:
            await chores.note_progress(conn, self.job, done=done, total=total, note=note)


Work = Callable[[Tools, Args], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    name: str
    words: str
    work: Work
    tries: int = 10
    pause: timedelta = timedelta(seconds=2)  # doubled with each attempt
    longest_pause: timedelta = timedelta(minutes=10)
    limit: timedelta = timedelta(hours=1)  # of one attempt
    every: timedelta | None = None

    def pause_after(self, attempts: int) -> timedelta:
        """How long to wait after so many attempts."""
        doubled: int = 2 ** min(max(0, attempts - 1), 30)
        return min(self.pause * doubled, self.longest_pause)


Kinds = Mapping[str, Kind]


def named(*kinds: Kind) -> Kinds:
    return {kind.name: kind for kind in kinds}
