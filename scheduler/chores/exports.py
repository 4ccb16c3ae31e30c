"""Writes files that somebody asked for."""

from uuid import UUID

from scheduler.chores.kinds import Args, Kind, Tools
from scheduler.services import exports


async def export(tools: Tools, args: Args) -> None:
    """Each part is one transaction that knows where the last one ended."""
    while True:
        async with tools.connection() as conn:
            found = await exports.write_part(conn, UUID(args["export"]))
        if found is None:
            return
        await tools.progress(found["rows"])


EXPORTS = Kind(name=exports.CHORE, words="Writes a file of runs or history.", work=export)
