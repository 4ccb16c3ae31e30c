"""Tasks that gave up: shown, taken up again, or discarded with a reason.

Whoever decides locks runs before letters, both in the order of their ids. A run is taken up as a
whole: with one of its letters go the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import process_types as definitions
from scheduler.domain.board import Board
from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal
from scheduler.services import runs as run_service
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.services.waking import notify
from scheduler.store import dead_letters, mirrors, runs
from scheduler.store.dead_letter_selections import Decided
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to become of dead letters. A new input stands instead of the run's; changes are
    laid over it."""

    action: Literal["redrive", "discard"]
    input: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None
    note: str | None = None

    def told(self) -> dict[str, Any]:
        return {"input": self.input, "changes": self.changes, "note": self.note}


def require_sense(wish: Wish) -> None:
    if wish.action == "discard" and not (wish.note or "").strip():
        raise Invalid("say why it is discarded", field="note")
    if wish.input is not None and wish.changes is not None:
        raise Invalid(
            "`input` and `changes` exclude each other",
            field="changes",
            remedy="send the whole input, or what is to be laid over it",
        )


async def get(conn: Conn, letter: int) -> Row:
    found = await dead_letters.get(conn, letter)
    if found is None:
        raise NotFound(f"there is no dead letter {letter}")
    return found


async def redrive(
    conn: Conn,
    catalog: Catalog,
    letter: int,
    *,
    by: str,
    input: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> Row:
    """A new round of its run, from what failed. Of two who ask, one wins."""
    wish = Wish(action="redrive", input=input, changes=changes)
    require_sense(wish)
    run = (await get(conn, letter))["run_id"]
    async with conn.transaction():
        [found] = await lock(conn, [letter]) or [await get(conn, letter)]
        require_open(found)
        await take_up(conn, catalog, [run], wish, by=by)
    return await run_service.get(conn, run)


async def discard(conn: Conn, letter: int, *, by: str, note: str) -> Row:
    require_sense(Wish(action="discard", note=note))
    require_open(await get(conn, letter))
    if not await dead_letters.discard(conn, [letter], by=by, note=note):
        require_open(await get(conn, letter))
    return await get(conn, letter)


def require_open(letter: Row) -> None:
    if letter["state"] != "OPEN":
        raise Conflict(f"dead letter {letter['id']} {closed(letter)}")


def closed(letter: Row) -> str:
    return f"was {letter['state'].lower()} by {letter['closed_by']}"


async def decide(
    conn: Conn, catalog: Catalog, letters: Sequence[int], wish: Wish, *, by: str
) -> list[Decided]:
    """What becomes of each of a few, in the caller's transaction; one that cannot be what is
    wanted keeps no other from it."""
    found = {row["id"]: row for row in await lock(conn, letters)}
    decided = {
        letter: Decided(letter, "skipped", "there is no such dead letter")
        for letter in letters
        if letter not in found
    }
    for letter, row in found.items():
        if row["state"] != "OPEN":
            decided[letter] = Decided(letter, "skipped", closed(row), row["run_id"])
    open = [row for letter, row in found.items() if letter not in decided]
    for each in await close(conn, catalog, open, wish, by=by):
        decided[each.id] = each
    return [decided[letter] for letter in letters]


async def lock(conn: Conn, letters: Sequence[int]) -> list[Row]:
    await runs.lock(conn, sorted(await dead_letters.runs(conn, letters)))
    return await dead_letters.lock(conn, letters)


async def close(
    conn: Conn, catalog: Catalog, letters: Sequence[Row], wish: Wish, *, by: str
) -> list[Decided]:
    if wish.action == "discard":
        ids = [row["id"] for row in letters]
        await dead_letters.discard(conn, ids, by=by, note=wish.note or "")
        return [Decided(row["id"], "discarded", None, row["run_id"]) for row in letters]
    refused = await take_up_each(conn, catalog, {row["run_id"] for row in letters}, wish, by=by)
    return [redriven(row, refused.get(row["run_id"])) for row in letters]


def redriven(row: Row, refusal: str | None) -> Decided:
    return Decided(row["id"], "refused" if refusal else "redriven", refusal, row["run_id"])


async def take_up_each(
    conn: Conn, catalog: Catalog, ids: set[UUID], wish: Wish, *, by: str
) -> dict[UUID, str]:
    """Take up all of them, or each for itself if one cannot be; why not, of those that can't."""
    try:
        async with conn.transaction():
            await take_up(conn, catalog, sorted(ids), wish, by=by)
    except Refusal as refusal:
        if len(ids) == 1:
            return dict.fromkeys(ids, str(refusal))
    else:
        return {}
    refused: dict[UUID, str] = {}
    for run in sorted(ids):
        refused |= await take_up_each(conn, catalog, {run}, wish, by=by)
    return refused


async def take_up(
    conn: Conn, catalog: Catalog, ids: Sequence[UUID], wish: Wish, *, by: str
) -> None:
    def retry(board: Board) -> None:
        given = new_input(board.run.input, wish)
        if given is not None:
            board.run.input = definitions.check_input(board.definition, given)
        board.retry(by)

    for run in ids:
        if (station := await mirrors.station_of(conn, run)) is not None:
            raise Conflict(
                f"the workstation {station['name']} decides about run {run}",
                remedy="retry the run, which asks the workstation for another round",
            )
    if ids:
        await notify(conn, await judge(conn, catalog, ids, retry, by=by))


def new_input(before: dict[str, Any], wish: Wish) -> dict[str, Any] | None:
    if wish.changes is not None:
        return {**before, **wish.changes}
    return wish.input
