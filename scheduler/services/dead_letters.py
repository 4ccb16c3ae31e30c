"""Tasks that gave up: shown, taken up again, or discarded with a reason."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.services import runs as run_service
from scheduler.services.catalog import Catalog
from scheduler.store import dead_letters, runs
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


async def get(conn: Conn, letter: int) -> Row:
    found = await dead_letters.get(conn, letter)
    if found is None:
        raise NotFound(f"there is no dead letter {letter}")
    return found


async def redrive(
    conn: Conn, catalog: Catalog, letter: int, *, by: str, input: dict[str, Any] | None = None
) -> Row:
    """A new round of its run, from what failed. Of two who ask, one wins."""
    found = await get(conn, letter)
    async with conn.transaction():
        await runs.lock(conn, [found["run_id"]])
        require_open(await dead_letters.lock(conn, letter) or found)
        return await run_service.retry(conn, catalog, found["run_id"], by=by, input=input)


async def discard(conn: Conn, letter: int, *, by: str, note: str) -> Row:
    if not note.strip():
        raise Invalid("say why it is discarded", field="note")
    require_open(await get(conn, letter))
    if not await dead_letters.discard(conn, letter, by=by, note=note):
        require_open(await get(conn, letter))
    return await get(conn, letter)


def require_open(letter: Row) -> None:
    if letter["state"] != "OPEN":
        raise Conflict(
            f"dead letter {letter['id']} was {letter['state'].lower()} by {letter['closed_by']}"
        )
