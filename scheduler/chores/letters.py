"""Decisions on more dead letters than one request has the time for."""

from uuid import UUID

from scheduler.chores.kinds import Args, Kind, Tools
from scheduler.services import dead_letters_in_bulk as bulk
from scheduler.services.dead_letters import Wish
from scheduler.store import dead_letter_selections as selections


async def decide(tools: Tools, args: Args) -> None:
    """Each letter is taken under its lock and decided on in the same transaction, so whoever comes
    again finds only the rest."""
    selection = UUID(args["selection"])
    async with tools.connection() as conn:
        found = await selections.get(conn, selection)
    if found is None or found["action"] is None:
        return
    wish, going_on = Wish(action=found["action"], **found["wish"]), True
    while going_on:
        async with tools.connection() as conn:
            going_on = await bulk.advance(
                conn, tools.catalog, selection, wish, by=found["begun_by"]
            )
            open_ = (await selections.progress(conn, selection)).get(None, 0)
        await tools.progress(found["letters"] - open_, found["letters"])


LETTERS = Kind(name=bulk.CHORE, words="Goes on with a decision on many dead letters.", work=decide)
