"""Queues: pause, resume, size."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.wakes import Wake
from scheduler.services.waking import notify
from scheduler.store import limits, queues

Conn = AsyncConnection[Any]


async def pause(conn: Conn, name: str, *, note: str | None, by: str) -> None:
    """Nothing more is claimed from it; what is in hand goes on."""
    await queues.pause(conn, name, note=note, by=by)


async def resume(conn: Conn, name: str, *, by: str) -> None:
    async with conn.transaction():
        if not await queues.resume(conn, name, by=by):
            raise NotFound(f"there is nothing set for a queue {name!r}")
        wake = Wake()
        wake.add(queues=[name])
        await notify(conn, wake)


async def resize(conn: Conn, name: str, size: int | None, *, by: str) -> None:
    """At most `size` tasks of the queue READY or in hand, over all workers; None lifts it."""
    if size is not None and not 1 <= size <= 100_000:
        raise Invalid(f"a size of {size} is not between 1 and 100000", field="size")
    key = f"queue:{name}"
    async with conn.transaction():
        await queues.resize(conn, name, size, by=by)
        if size is None:
            await limits.remove(conn, key)
        else:
            await limits.ensure(conn, {key: size})
            await limits.trim(conn, {key: size})
        await limits.unblock(conn, key)
        wake = Wake()
        wake.add(queues=[name], due=True)
        await notify(conn, wake)
