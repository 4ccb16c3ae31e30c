"""Dead letters: tasks that gave up, until somebody decides."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from psycopg import AsyncConnection
from starlette.routing import Match
from starlette.types import Scope

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.dead_letter_bodies import (
    DecidedLetter,
    DecidedLetters,
    Discard,
    DiscardMany,
    DiscardSelection,
    Redrive,
    RedriveMany,
    RedriveSelection,
    SelectDeadLetters,
    Selection,
)
from scheduler.api.documents import Responses, problems
from scheduler.api.filters import Counted, Moment, moment
from scheduler.api.links import OF_A_SELECTION, joined
from scheduler.api.models import DeadLetter, DeadLetterGroup, Groups, Run
from scheduler.api.pages import CountedPage, Cursor, Limit
from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.counts import MOST, Count
from scheduler.services import dead_letters
from scheduler.services import dead_letters_in_bulk as in_bulk
from scheduler.services.catalog import Catalog
from scheduler.services.dead_letters import Wish
from scheduler.store import dead_letter_selections as selections
from scheduler.store import dead_letters as stored
from scheduler.store.dead_letter_selections import Chosen
from scheduler.store.dead_letters import Filter
from scheduler.store.rows import Row


class LetterRoute(GuardedRoute):
    """A word is no id: `/dead-letters/discard` is not the dead letter of that name."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        letter = str(found.get("path_params", {}).get("letter", "0"))
        return (match, found) if letter.isascii() and letter.isdecimal() else (Match.NONE, {})


router = APIRouter(prefix="/dead-letters", tags=["dead letters"], route_class=LetterRoute)

Id = Annotated[int, Path(alias="letter", ge=1, le=2**63 - 1)]
MadeFrom = Annotated[Moment | None, moment("Since this time.")]
MadeTo = Annotated[Moment | None, moment("Before this time.")]
SAMPLE, TROUBLES = 5, 100
SELECTED: Responses = {
    201: {"headers": {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}}
}


@router.get("", responses=problems(422))
async def list_dead_letters(
    conn: Conn,
    status: Literal["OPEN", "REDRIVEN", "DISCARDED"] = "OPEN",
    run: UUID | None = None,
    type: Annotated[str | None, Query(max_length=63)] = None,
    task: Annotated[str | None, Query(max_length=63)] = None,
    fingerprint: Annotated[str | None, Query(max_length=100)] = None,
    made_from: MadeFrom = None,
    made_to: MadeTo = None,
    count: Counted = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CountedPage[DeadLetter]:
    """List dead letters, the newest first."""
    wanted = Filter(
        state=status,
        run=run,
        type=type,
        task=task,
        fingerprint=fingerprint,
        made_from=made_from,
        made_to=made_to,
    )
    after = pages.decode(cursor, pages.big_number)
    rows = await stored.page(conn, wanted, after=after, limit=limit + 1)
    total = Count.of(await stored.count(conn, wanted, MOST + 1)) if count else None
    page = pages.page_of(rows, limit, "id", DeadLetter.model_validate)
    return CountedPage(items=page.items, next=page.next, **pages.counted(total))


@router.post("/redrive", responses=problems(413, 422))
async def redrive_dead_letters(
    wish: RedriveMany, conn: Conn, catalog: TheCatalog, by: By
) -> DecidedLetters:
    """Take up those that are named, each for itself: what cannot be keeps no other from it.

    A run is taken up as a whole, so its other dead letters are closed with the one that is named.
    """
    return await decided(conn, catalog, wish.ids, redriving(wish), by)


@router.post("/discard", responses=problems(413, 422))
async def discard_dead_letters(
    wish: DiscardMany, conn: Conn, catalog: TheCatalog, by: By
) -> DecidedLetters:
    """Close those that are named for good, and say why."""
    return await decided(conn, catalog, wish.ids, discarding(wish), by)


async def decided(
    conn: Conn, catalog: Catalog, ids: Sequence[int], wish: Wish, by: str
) -> DecidedLetters:
    found = await in_bulk.decide_on(conn, catalog, list(dict.fromkeys(ids)), wish, by=by)
    items = [
        DecidedLetter.model_validate(
            {"id": each.id, "result": each.result, "detail": each.detail, "run": each.run}
        )
        for each in found
    ]
    return DecidedLetters(items=items, counts=Counter(each.result for each in items))


def redriving(wish: Redrive) -> Wish:
    return Wish(action="redrive", input=wish.input, changes=wish.changes)


def discarding(wish: Discard) -> Wish:
    return Wish(action="discard", note=wish.note)


@router.post(
    "/selections", status_code=201, responses=joined(SELECTED, OF_A_SELECTION, problems(413, 422))
)
async def select_dead_letters(
    wish: SelectDeadLetters, conn: Conn, by: By, response: Response
) -> Selection:
    """Remember which open dead letters match now, 10,000 at most, to decide on these alone.

    It is kept for a day.
    """
    chosen = Chosen(**wish.model_dump(exclude={"all"}))
    made = await selection_of(conn, await in_bulk.select(conn, chosen, all=wish.all, by=by))
    response.headers["Location"] = f"/api/v1/dead-letters/selections/{made.id}"
    return made


@router.get("/selections/{selection}", responses=problems(404, 422))
async def get_dead_letter_selection(selection: UUID, conn: Conn) -> Selection:
    """Show a selection, and how far it has come."""
    return await selection_of(conn, await in_bulk.get(conn, selection))


@router.post("/selections/{selection}/redrive", responses=problems(404, 409, 413, 422))
async def redrive_dead_letter_selection(
    selection: UUID, wish: RedriveSelection, conn: Conn, catalog: TheCatalog, by: By
) -> Selection:
    """Take up what a selection holds, as far as eight seconds reach.

    While `progress.pending` is not 0 the same request goes on where this one ended. What somebody
    else closed in between is skipped, and told.
    """
    row = await in_bulk.decide_on_selection(
        conn, catalog, selection, redriving(wish), expected=wish.expected_count, by=by
    )
    return await selection_of(conn, row)


@router.post("/selections/{selection}/discard", responses=problems(404, 409, 413, 422))
async def discard_dead_letter_selection(
    selection: UUID, wish: DiscardSelection, conn: Conn, catalog: TheCatalog, by: By
) -> Selection:
    """Close what a selection holds for good, as far as eight seconds reach.

    While `progress.pending` is not 0 the same request goes on where this one ended.
    """
    row = await in_bulk.decide_on_selection(
        conn, catalog, selection, discarding(wish), expected=wish.expected_count, by=by
    )
    return await selection_of(conn, row)


async def selection_of(conn: AsyncConnection[Any], row: Row) -> Selection:
    progress = await selections.progress(conn, row["id"])
    return Selection.model_validate(
        {
            **row,
            "progress": {each or "pending": count for each, count in progress.items()}
            | {"pending": progress.get(None, 0)},
            "sample": await selections.sample(conn, row["id"], SAMPLE),
            "troubles": await selections.troubles(conn, row["id"], TROUBLES),
        }
    )


@router.get("/groups", responses=problems(422))
async def list_dead_letter_groups(conn: Conn, limit: Limit = 50) -> Groups:
    """Group the open dead letters by task and kind of error, the largest group first."""
    rows = await stored.groups(conn, limit)
    return Groups(items=[DeadLetterGroup.model_validate(row) for row in rows])


@router.get("/{letter}", responses=problems(404, 422))
async def get_dead_letter(letter: Id, conn: Conn) -> DeadLetter:
    """Show a dead letter."""
    return DeadLetter.model_validate(await dead_letters.get(conn, letter))


@router.post("/{letter}/redrive", responses=problems(404, 409, 422))
async def redrive_dead_letter(
    letter: Id, conn: Conn, catalog: TheCatalog, by: By, wish: Redrive | None = None
) -> Run:
    """Take its run up again from what failed, with its own input or another."""
    wish = wish or Redrive()
    row = await dead_letters.redrive(
        conn, catalog, letter, by=by, input=wish.input, changes=wish.changes
    )
    return Run.model_validate(row)


@router.post("/{letter}/discard", responses=problems(404, 409, 422))
async def discard_dead_letter(letter: Id, wish: Discard, conn: Conn, by: By) -> DeadLetter:
    """Close a dead letter for good, and say why."""
    return DeadLetter.model_validate(
        await dead_letters.discard(conn, letter, by=by, note=wish.note)
    )
