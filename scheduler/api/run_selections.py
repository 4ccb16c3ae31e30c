"""Many runs at once: a selection that stays what it was, and one thing done with all it holds."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from psycopg import AsyncConnection
from pydantic import Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import Responses, problems
from scheduler.api.filters import Moment
from scheduler.api.links import OF_A_RUN_SELECTION, joined
from scheduler.api.models import Inward, Labels, Name, Note, Outward, RecordId, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.domain.states import RunState
from scheduler.services import runs_in_bulk as bulk
from scheduler.services.runs_in_bulk import Wish
from scheduler.store import run_selections as stored
from scheduler.store.rows import Row
from scheduler.store.runs import Filter

router = APIRouter(prefix="/runs/selections", tags=["runs"], route_class=GuardedRoute)

SAMPLE, TROUBLES = 5, 100
SELECTED: Responses = {
    201: {"headers": {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}}
}
Text = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
State = Annotated[RunState, Field(strict=False)]
Id = Annotated[UUID, Field(strict=False)]


class SelectRuns(Inward):
    """Which runs are meant: by their ids, or by filters, each of which narrows the choice."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    type: Name | None = None
    record: RecordId | None = None
    status: Annotated[list[State], Field(min_length=1)] | None = None
    labels: Labels | None = None
    error: Text | None = Field(default=None, description="A part of the error.")
    triggered_by: Text | None = Field(default=None, description="A part of what started it.")
    longer_than: Seconds | None = Field(default=None, description="It took so many seconds.")
    shorter_than: Seconds | None = Field(default=None, description="It took less.")
    created_from: Moment | None = Field(default=None, examples=["2026-01-31T08:00:00Z"])
    created_to: Moment | None = None
    finished_from: Moment | None = None
    finished_to: Moment | None = None
    all: bool = Field(default=False, description="Every run there is, without a filter.")


class SelectedWish(Inward):
    expected_count: Annotated[
        int, Field(ge=0, le=bulk.MOST, description="What the selection says that it holds.")
    ]


class StopSelected(SelectedWish):
    why: Note | None = None
    kill: bool = Field(default=False, description="Without a grace.")
    undo: bool = Field(default=False, description="Undo what was done.")


class RetrySelected(SelectedWish):
    whole: bool = Field(default=False, description="All of each again, and not what failed.")


Result = Literal["done", "skipped", "refused", "left"]


class SelectedProgress(Outward):
    """How far a selection has come."""

    pending: int
    done: int = 0
    skipped: int = 0
    refused: int = 0
    left: int = 0


class SelectedRun(Outward):
    """A run of a selection as it is now, and what became of it."""

    id: UUID
    type: str | None
    record: str | None = Field(validation_alias="record_id")
    status: RunState | None = Field(
        validation_alias="state", description="None if the run is gone."
    )
    created_at: Time | None
    result: Result | None = Field(
        description="`skipped`: there is none any more; `refused`: it cannot be, as `detail` says; "
        "`left`: somebody ended the whole before."
    )
    detail: str | None


class Trouble(Outward):
    """A run with which it was not done, and why."""

    id: UUID
    result: Result
    detail: str | None


class RunSelection(Outward):
    """The runs that matched when it was made, and no others."""

    id: UUID
    count: int = Field(validation_alias="runs", description="Send it as `expected_count`.")
    is_capped: bool = Field(description="More matched than it holds: these are the newest 10,000.")
    filters: dict[str, Any]
    sample: list[SelectedRun] = Field(description="The first few.")
    created_at: Time
    created_by: str
    expires_at: Time
    action: bulk.Action | None = Field(description="What was begun with it.")
    begun_at: Time | None
    begun_by: str | None
    ended_at: Time | None
    progress: SelectedProgress
    troubles: list[Trouble] = Field(description="The first hundred with which it was not done.")


@router.post(
    "", status_code=201, responses=joined(SELECTED, OF_A_RUN_SELECTION, problems(404, 413, 422))
)
async def select_runs(wish: SelectRuns, conn: Conn, by: By, response: Response) -> RunSelection:
    """Remember which runs match now, 10,000 at most, to do something with these alone.

    It is kept for a day.
    """
    made = await bulk.select(conn, filter_of(wish), ids=wish.ids or (), all=wish.all, by=by)
    response.headers["Location"] = f"/api/v1/runs/selections/{made['id']}"
    return await selection_of(conn, made)


def filter_of(wish: SelectRuns) -> Filter:
    given = wish.model_dump(exclude={"ids", "all", "status", "triggered_by"})
    longer, shorter = given.pop("longer_than"), given.pop("shorter_than")
    return Filter(
        **given,
        states=wish.status or (),
        by=wish.triggered_by,
        longer=None if longer is None else timedelta(seconds=longer),
        shorter=None if shorter is None else timedelta(seconds=shorter),
    )


@router.get("/{selection}", responses=problems(404, 422))
async def get_run_selection(selection: UUID, conn: Conn) -> RunSelection:
    """Show a selection, and how far it has come."""
    return await selection_of(conn, await bulk.get(conn, selection))


@router.get("/{selection}/runs", responses=problems(404, 422))
async def list_selected_runs(
    selection: UUID, conn: Conn, limit: Limit = 50, cursor: Cursor = None
) -> Page[SelectedRun]:
    """List what a selection holds, the newest first."""
    await bulk.get(conn, selection)
    after = pages.decode(cursor, pages.run_id)
    rows = await stored.page(conn, selection, limit=limit + 1, after=after)
    return pages.page_of(rows, limit, "id", SelectedRun.model_validate)


@router.post("/{selection}/hold", responses=problems(404, 409, 422))
async def hold_run_selection(
    selection: UUID, wish: SelectedWish, conn: Conn, by: By
) -> RunSelection:
    """Begin nothing more of all that a selection holds. A chore goes through them."""
    return await begun(conn, selection, wish, Wish(action="hold"), by)


@router.post("/{selection}/resume", responses=problems(404, 409, 422))
async def resume_run_selection(
    selection: UUID, wish: SelectedWish, conn: Conn, by: By
) -> RunSelection:
    """Let all that a selection holds go on. A chore goes through them."""
    return await begun(conn, selection, wish, Wish(action="resume"), by)


@router.post("/{selection}/stop", responses=problems(404, 409, 422))
async def stop_run_selection(
    selection: UUID, wish: StopSelected, conn: Conn, by: By
) -> RunSelection:
    """Stop all that a selection holds. A chore goes through them."""
    stop = Wish(action="stop", why=wish.why, kill=wish.kill, undo=wish.undo)
    return await begun(conn, selection, wish, stop, by)


@router.post("/{selection}/retry", responses=problems(404, 409, 422))
async def retry_run_selection(
    selection: UUID, wish: RetrySelected, conn: Conn, by: By
) -> RunSelection:
    """Open a new round of all that a selection holds. A chore goes through them."""
    return await begun(conn, selection, wish, Wish(action="retry", whole=wish.whole), by)


@router.post("/{selection}/end", responses=problems(404, 409, 422))
async def end_run_selection(selection: UUID, conn: Conn, by: By) -> RunSelection:
    """Do nothing with those that are left; what was done stays done."""
    return await selection_of(conn, await bulk.leave(conn, selection, by=by))


async def begun(
    conn: AsyncConnection[Any], selection: UUID, wish: SelectedWish, what: Wish, by: str
) -> RunSelection:
    row = await bulk.begin(conn, selection, what, expected=wish.expected_count, by=by)
    return await selection_of(conn, row)


async def selection_of(conn: AsyncConnection[Any], row: Row) -> RunSelection:
    progress = await stored.progress(conn, row["id"])
    return RunSelection.model_validate(
        {
            **row,
            "progress": {each: count for each, count in progress.items() if each}
            | {"pending": progress.get(None, 0)},
            "sample": await stored.page(conn, row["id"], limit=SAMPLE),
            "troubles": await stored.troubles(conn, row["id"], TROUBLES),
        }
    )
