"""Restarting a record: its run is stopped, has ended, and a new one starts."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict
from scheduler.domain.states import RunState
from scheduler.services import records
from scheduler.services import runs as run_service
from scheduler.services.catalog import Catalog

Conn = AsyncConnection[Any]


async def stop_if_running(conn: Conn, catalog: Catalog, record: str, *, by: str) -> UUID | None:
    """The run that is to end before a new one may start; None if there is nothing to wait for."""
    found = await records.get(conn, record)
    run: UUID | None = found["current_run"]
    if run is None or RunState(found["current_status"]).is_final:
        return None
    with suppress(Conflict):  # it may end between the look and the stop
        await run_service.stop(conn, catalog, run, by=by, why=f"restarted by {by}")
    return run
