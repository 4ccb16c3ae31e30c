"""Retention, and the hourly counts that outlive what it removes."""

import asyncio
from datetime import timedelta

from scheduler.chores.kinds import Args, Kind, Tools
from scheduler.services import exports, retention, rollups


async def retain(tools: Tools, args: Args) -> None:
    """Two at the same time take different runs, and the second finds less to do."""
    removed = 0
    async with tools.connection() as conn:
        await rollups.catch_up(conn)
        await rollups.catch_up_attempts(conn)
        for rule in await retention.rules(conn):
            removed += await retention.prune(conn, rule, asyncio.sleep)
            await tools.progress(removed, note=f"{rule.type or 'all types'}, {rule.state}")
        dropped = await retention.drop_details(conn, asyncio.sleep)
        await exports.forget(conn)
    await tools.progress(removed, note=f"{dropped} partitions dropped")


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
