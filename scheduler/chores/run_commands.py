"""One thing done with many runs that somebody chose."""

from uuid import UUID

from scheduler.chores.kinds import Args, Kind, Tools
from scheduler.services import runs_in_bulk as bulk
from scheduler.store import run_selections as selections

TOLD = 25  # runs between two words about how far it is


async def command(tools: Tools, args: Args) -> None:
    """Whoever comes again finds only the rest."""
    selection = UUID(args["selection"])
    async with tools.connection() as conn:
        found = await selections.get(conn, selection)
    if found is None or found["action"] is None:
        return
    wish, going_on = bulk.wish_of(found), True
    while going_on:
        async with tools.connection() as conn:
            for _ in range(TOLD):
                going_on = await bulk.advance(
                    conn, tools.catalog, selection, wish, by=found["begun_by"]
                )
                if not going_on:
                    break
            left = (await selections.progress(conn, selection)).get(None, 0)
        await tools.progress(found["runs"] - left, found["runs"])


COMMANDS = Kind(name=bulk.CHORE, words="Does one thing with many chosen runs.", work=command)
