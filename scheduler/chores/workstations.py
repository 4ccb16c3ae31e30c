"""What is known of workstations is thinned out as it ages."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

from psycopg import AsyncConnection

from scheduler.chores.kinds import Args, Kind, Tools
from scheduler.store import station_files, workstations

Conn = AsyncConnection[Any]
Forget = Callable[[Conn], Awaitable[int]]

AT_ONCE = 1_000
COMMANDS_LIVE = timedelta(days=90)
SIGHTINGS_LIVE = timedelta(days=90)

FORGETTING: tuple[Forget, ...] = (
    partial(workstations.thin_metrics, limit=AT_ONCE),
    partial(workstations.forget_hands, limit=AT_ONCE),
    partial(station_files.thin, limit=AT_ONCE),
    partial(workstations.forget_commands, keep=COMMANDS_LIVE, limit=AT_ONCE),
    partial(workstations.forget_sightings, keep=SIGHTINGS_LIVE, limit=AT_ONCE),
)


async def thin(tools: Tools, args: Args) -> None:
    """A few at a time, so that nobody waits for it."""
    for forget in FORGETTING:
        while await forgotten(tools, forget) >= AT_ONCE:
            pass


async def forgotten(tools: Tools, forget: Forget) -> int:
    async with tools.connection() as conn:
        return await forget(conn)


WORKSTATIONS = Kind(
    name="thin_workstations",
    words="Thins out what is known of workstations.",
    work=thin,
    every=timedelta(hours=1),
)
