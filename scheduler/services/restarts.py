"""Restarting a record: its run is stopped, has ended, and a new one starts."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict
from scheduler.services import records
from scheduler.services import runs as run_service
from scheduler.services.catalog import Catalog
from scheduler.store import runs

Conn = AsyncConnection[Any]


async def stop_if_running(
    conn: Conn,
    catalog: Catalog,
    record: str,
    *,
    by: str,
    input: dict[str, Any] | None = None,
    key: str | None = None,
) -> UUID | None:
    """The run that is to end before a new one may start; None if there is nothing to wait for.

    Nothing is stopped for a start that would be refused. Under the lock that a start takes too:
    whoever comes again with the same key must not stop what the first one started.
    """
    async with conn.transaction():
        found = await records.locked(conn, record)
        run: UUID | None = found["current_run"]
        if key is not None and await runs.remembered(conn, key):
            return None
        if run is None or not await records.is_running(conn, run):
            return None
        order = records.order_of(found, by=by, input=input, key=key)
        await run_service.require_startable(conn, catalog, order)
        with suppress(Conflict):  # it may end between the look and the stop
            await run_service.stop(conn, catalog, run, by=by, why=f"restarted by {by}")
    return run
