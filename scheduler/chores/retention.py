"""Retention, and the hourly counts that outlive what it removes."""

import asyncio
from datetime import timedelta
from functools import partial

from scheduler.chores.kinds import Args, Kind, Tools
from scheduler.services import exports, retention, rollups, upkeep


async def retain(tools: Tools, args: Args) -> None:
    """Two at the same time take different runs, and the second finds less to do."""
    removed = 0
    async with tools.connection() as conn:
        await rollups.catch_up(conn)
        await rollups.catch_up_attempts(conn)
        for rule in await retention.rules(conn):
            tell = partial(progress, tools, removed, f"{rule.type or 'all types'}, {rule.state}")
            removed += await retention.prune(conn, rule, asyncio.sleep, tell)
        dropped = await retention.drop_details(conn, asyncio.sleep)
        forgotten = await retention.forget(conn, asyncio.sleep)
        forgotten += await upkeep.forget_failed(conn, server="retention")
        places = await retention.forget_places(conn, asyncio.sleep)
        await exports.forget(conn)
    note = f"{dropped} partitions dropped, {forgotten} old rows and {places} idle places removed"
    await tools.progress(removed, note=note)


async def progress(tools: Tools, before: int, note: str, removed: int) -> None:
    await tools.progress(before + removed, note=note)


async def roll_up(tools: Tools, args: Args) -> None:
    async with tools.connection() as conn:
        await rollups.catch_up(conn)
        await rollups.catch_up_attempts(conn)


RETENTION = Kind(
    name="retention",
    words="Removes what is kept no longer.",
    work=retain,
    every=timedelta(hours=1),
    limit=timedelta(hours=12),
)
ROLLUPS = Kind(
    name="rollups",
    words="Counts the runs and attempts of each hour.",
    work=roll_up,
    every=timedelta(minutes=15),
)
