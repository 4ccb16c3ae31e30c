"""Many dead letters decided on at once: those that are named, or those of a selection.

A selection is frozen: what matched when it was made, and never what matches now. Everything goes
in small transactions, as many as there is time for; a chore goes on with the rest of a selection.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.ids import new_id
from scheduler.services import chores, dead_letters
from scheduler.services.catalog import Catalog
from scheduler.services.dead_letters import Wish
from scheduler.store import dead_letter_selections as selections
from scheduler.store.dead_letter_selections import Chosen, Decided
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

BATCH = 20  # letters in a transaction: each may bring a run with thousands of tasks
PATIENCE = 8.0  # seconds of one request, well below what its sender is promised
MOST = 10_000
LIFE = timedelta(days=1)
CHORE = "decide_on_dead_letters"
FORGOTTEN = 20  # selections that are over, for each that is made


async def decide_on(
    conn: Conn, catalog: Catalog, letters: Sequence[int], wish: Wish, *, by: str
) -> list[Decided]:
    """What became of each; `left` if there was no time for it."""
    dead_letters.require_sense(wish)
    end = time.monotonic() + PATIENCE
    decided: list[Decided] = []
    for start in range(0, len(letters), BATCH):
        batch = letters[start : start + BATCH]
        if time.monotonic() > end:
            decided += [Decided(each, "left", "send it again: time was up") for each in batch]
            continue
        async with conn.transaction():
            decided += await dead_letters.decide(conn, catalog, batch, wish, by=by)
    return decided


async def select(conn: Conn, chosen: Chosen, *, all: bool, by: str) -> Row:
    """Remember which dead letters match now. Everything there is, only if somebody says so."""
    if all == bool(chosen.told()):
        raise Invalid(
            "say which dead letters are meant by one filter or more, or `all`, and not by both",
            field="all",
        )
    selection = new_id()
    await selections.forget(conn, FORGOTTEN)
    await selections.create(conn, selection, chosen, most=MOST, life=LIFE, by=by)
    return await get(conn, selection)


async def get(conn: Conn, selection: UUID) -> Row:
    found = await selections.get(conn, selection)
    if found is None:
        raise NotFound(
            f"there is no selection {selection}, or not any more",
            remedy="make one with POST /api/v1/dead-letters/selections",
        )
    return found


async def decide_on_selection(
    conn: Conn,
    catalog: Catalog,
    selection: UUID,
    wish: Wish,
    *,
    expected: int,
    by: str,
    patience: float | None = None,
) -> Row:
    """Go through a selection as far as there is time; a chore does the rest."""
    dead_letters.require_sense(wish)
    found = await get(conn, selection)
    if found["letters"] != expected:
        raise Conflict(
            f"the selection holds {found['letters']} dead letters, not {expected}",
            field="expected_count",
            remedy="look at what it holds, and send that number if it is what you want",
        )
    await require_begun(conn, selection, wish, by=by)
    end = time.monotonic() + (PATIENCE if patience is None else patience)
    while time.monotonic() < end and await advance(conn, catalog, selection, wish, by=by):
        pass
    await continue_later(conn, selection)
    return await get(conn, selection)


async def continue_later(conn: Conn, selection: UUID) -> None:
    """What there was no time for is done by a chore, whether or not anybody asks again."""
    if (await selections.progress(conn, selection)).get(None):
        args = {"selection": str(selection)}
        await chores.defer(conn, CHORE, args, lock=f"{CHORE} {selection}")


async def require_begun(conn: Conn, selection: UUID, wish: Wish, *, by: str) -> None:
    if await selections.begin(conn, selection, action=wish.action, wish=wish.told(), by=by):
        return
    found = await get(conn, selection)
    if (found["action"], found["wish"]) != (wish.action, wish.told()):
        raise Conflict(
            f"{found['begun_by']} has begun to {found['action']} this selection",
            remedy="send the same request to go on with it, or make another selection",
        )


async def advance(conn: Conn, catalog: Catalog, selection: UUID, wish: Wish, *, by: str) -> bool:
    """Decide on the next few; False if nobody is left to decide on."""
    async with conn.transaction():
        letters = await selections.take(conn, selection, BATCH)
        if letters:
            decided = await dead_letters.decide(conn, catalog, letters, wish, by=by)
            await selections.decide(conn, selection, decided)
    return bool(letters)
