"""Dead letters: tasks that gave up, until somebody decides."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import DeadLetter, DeadLetterGroup, Discard, Groups, Redrive, Run
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn, TheCatalog
from scheduler.services import dead_letters
from scheduler.store import dead_letters as stored

router = APIRouter(prefix="/dead-letters", tags=["dead letters"], route_class=GuardedRoute)

Id = Annotated[int, Path(alias="letter", ge=1, le=2**63 - 1)]


@router.get("", responses=problems(422))
async def list_dead_letters(
    conn: Conn,
    status: Literal["OPEN", "REDRIVEN", "DISCARDED"] = "OPEN",
    type: Annotated[str | None, Query(max_length=63)] = None,
    fingerprint: Annotated[str | None, Query(max_length=100)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeadLetter]:
    """List dead letters, the newest first."""
    rows = await stored.page(
        conn,
        state=status,
        type=type,
        fingerprint=fingerprint,
        after=pages.decode(cursor, pages.big_number),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", DeadLetter.model_validate)


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
    input = wish.input if wish else None
    return Run.model_validate(await dead_letters.redrive(conn, catalog, letter, by=by, input=input))


@router.post("/{letter}/discard", responses=problems(404, 409, 422))
async def discard_dead_letter(letter: Id, wish: Discard, conn: Conn, by: By) -> DeadLetter:
    """Close a dead letter for good, and say why."""
    return DeadLetter.model_validate(
        await dead_letters.discard(conn, letter, by=by, note=wish.note)
    )
