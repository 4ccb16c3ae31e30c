"""What is said of a command on a run: that it was carried out, or somebody asked for it."""

from typing import Any
from uuid import UUID

from fastapi import Response
from psycopg import AsyncConnection

from scheduler.store import mirrors
from ui import frame


async def done(conn: AsyncConnection[Any], run: UUID, said: str) -> Response:
    """Asked for, where a workstation decides about the run."""
    is_asked = await mirrors.station_of(conn, run) is not None
    return frame.see(f"/ui/runs/{run}", said="asked" if is_asked else said)
