"""Runs: start, look, command."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from scheduler.api import pages, starting
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import CREATED, problems
from scheduler.api.filters import (
    Counted,
    CreatedFrom,
    CreatedTo,
    FinishedFrom,
    FinishedTo,
    Label,
    labels,
)
from scheduler.api.links import OF_A_NEW_RUN, OF_A_RUN, joined
from scheduler.api.models import ChangeRun, Hold, Retry, Run, StartRun, Stop, Taken, Why
from scheduler.api.pages import CountedPage, Cursor, Limit, Page
from scheduler.api.preferences import seconds
from scheduler.api.starting import Key, Prefer
from scheduler.api.state import By, Conn, TheCatalog, TheServer
from scheduler.domain.errors import Invalid
from scheduler.domain.states import RunState
from scheduler.services import run_changes, run_lists, run_lookup, runs, why
from scheduler.services.run_changes import Change
from scheduler.store import runs as stored
from scheduler.store.runs import Filter

router = APIRouter(prefix="/runs", tags=["runs"], route_class=GuardedRoute)

Short = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9a-fA-F-]{6,36}$",
        description="The beginning or the end of an id: at most two runs answer to it.",
        examples=["9f3c21ab"],
    ),
]
ErrorText = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        description="A part of the error, in whatever case.",
        examples=["exit code 3"],
    ),
]
TriggeredBy = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        description="A part of what started it, in whatever case.",
        examples=["schedule"],
    ),
]
Ack = Annotated[
    Literal["commit", "memory"],
    Query(
        description="`memory`: answered with 202 before it is stored, in a group with others. It "
        "is lost if the server is killed meanwhile, or if something is wrong with it, and nobody "
        "is told. When too many wait: 429.",
    ),
]
TAKEN: dict[int | str, dict[str, Any]] = {
    202: {"model": Taken, "description": "It lies in memory; nothing is promised of it."}
}
LongerThan = Annotated[
    float | None,
    Query(ge=0, le=1e9, description="It took so many seconds, or has by now.", examples=[60]),
]
ShorterThan = Annotated[
    float | None, Query(ge=0, le=1e9, description="It took fewer seconds, or has by now.")
]


@router.post(
    "",
    status_code=201,
    response_model=Run,
    responses=joined(CREATED, OF_A_NEW_RUN, TAKEN, problems(404, 409, 422, 429)),
)
async def start_run(
    wish: StartRun,
    request: Request,
    response: Response,
    server: TheServer,
    by: By,
    ack: Ack = "commit",
    key: Key = None,
    prefer: Prefer = None,
) -> Run | Response:
    """Start a run of a process type.

    With an `Idempotency-Key` the same request may be sent again: it gives the same run. With
    `Prefer: wait=N` the answer comes when the run has ended, or after N seconds. With `ack=memory`
    it comes at once, and promises nothing.
    """
    order = starting.order_of(wish, by=by, key=key)
    if ack == "memory":
        if prefer is not None:
            raise Invalid("`ack=memory` waits for nothing, so leave `Prefer` out", field="ack")
        return starting.taken(server, order, len(await request.body()))
    return await starting.ordered(server, response.headers, order, prefer)


@router.get("", responses=problems(422))
async def list_runs(
    conn: Conn,
    type: Annotated[str | None, Query(max_length=63)] = None,
    record: Annotated[str | None, Query(max_length=200)] = None,
    status: Annotated[list[RunState] | None, Query(description="One or several.")] = None,
    label: Label = None,
    created_from: CreatedFrom = None,
    created_to: CreatedTo = None,
    finished_from: FinishedFrom = None,
    finished_to: FinishedTo = None,
    error: ErrorText = None,
    triggered_by: TriggeredBy = None,
    longer_than: LongerThan = None,
    shorter_than: ShorterThan = None,
    short: Short = None,
    count: Counted = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CountedPage[Run]:
    """List runs, the newest first.

    With `error`, `triggered_by`, `longer_than` or `shorter_than` a page looks through 5,000 runs at
    most: it may hold few, or none, and `next` goes on with the search. It is done when `next` is
    null.
    """
    if short is not None:
        return CountedPage(items=[shown(row) for row in await run_lookup.by_short_id(conn, short)])
    wanted = Filter(
        type=type,
        record=record,
        states=status or (),
        labels=labels(label),
        created_from=created_from,
        created_to=created_to,
        finished_from=finished_from,
        finished_to=finished_to,
        error=error,
        by=triggered_by,
        longer=None if longer_than is None else timedelta(seconds=longer_than),
        shorter=None if shorter_than is None else timedelta(seconds=shorter_than),
    )
    after = pages.decode(cursor, pages.run_id)
    found = await run_lists.page(conn, wanted, limit=limit, after=after)
    total = await run_lists.count(conn, wanted) if count else None
    return CountedPage(
        items=[shown(row) for row in found.rows],
        next=pages.encode(found.next) if found.next else None,
        **pages.counted(total),
    )


@router.get("/{run}", responses=problems(404, 422))
async def get_run(run: UUID, server: TheServer, response: Response, prefer: Prefer = None) -> Run:
    """Show a run; with `Prefer: wait=N`, when it has ended or after N seconds."""
    if wait := seconds(prefer):
        response.headers["Preference-Applied"] = f"wait={wait}"
    return await starting.ended(server, run, wait)


@router.patch("/{run}", responses=problems(404, 422))
async def change_run(run: UUID, change: ChangeRun, conn: Conn, by: By) -> Run:
    """Give a run other labels or another priority. Its history tells what was before."""
    wish = Change(
        priority=change.priority, labels=change.labels, replace_labels=change.replace_labels
    )
    return shown(await run_changes.change(conn, run, wish, by=by))


@router.post("/{run}/hold", responses=problems(404, 409, 422))
async def hold_run(
    run: UUID, conn: Conn, catalog: TheCatalog, by: By, wish: Hold | None = None
) -> Run:
    """Begin nothing more of a run; what is in hand goes on to its end, or is frozen."""
    freeze = wish is not None and wish.freeze
    return shown(await runs.hold(conn, catalog, run, by=by, freeze=freeze))


@router.post("/{run}/pause", responses=problems(404, 409, 422))
async def pause_run(run: UUID, conn: Conn, catalog: TheCatalog, by: By) -> Run:
    """The same as hold."""
    return shown(await runs.hold(conn, catalog, run, by=by))


@router.post("/{run}/resume", responses=problems(404, 409, 422))
async def resume_run(run: UUID, conn: Conn, catalog: TheCatalog, by: By) -> Run:
    """Let a held run go on."""
    return shown(await runs.resume(conn, catalog, run, by=by))


@router.post("/{run}/stop", responses=problems(404, 409, 422))
async def stop_run(
    run: UUID, conn: Conn, catalog: TheCatalog, by: By, wish: Stop | None = None
) -> Run:
    """Stop a run and the commands that it has in hand."""
    wish = wish or Stop()
    return shown(
        await runs.stop(conn, catalog, run, by=by, kill=wish.kill, why=wish.why, undo=wish.undo)
    )


@router.post("/{run}/undo", responses=problems(404, 409, 422))
async def undo_run(run: UUID, conn: Conn, catalog: TheCatalog, by: By) -> Run:
    """Undo what a run that failed or was stopped did, or what of it could not be undone before."""
    return shown(await runs.undo(conn, catalog, run, by=by))


@router.get("/{run}/children", responses=problems(404, 422))
async def list_run_children(
    run: UUID, conn: Conn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Run]:
    """List the runs that a run started, the newest first."""
    await runs.get(conn, run)
    rows = await stored.children(
        conn, run, after=pages.decode(cursor, pages.run_id), limit=limit + 1
    )
    return pages.page_of(rows, limit, "id", shown)


@router.post("/{run}/cancel", responses=problems(404, 409, 422))
async def cancel_run(
    run: UUID, conn: Conn, catalog: TheCatalog, by: By, wish: Stop | None = None
) -> Run:
    """The same as stop."""
    return await stop_run(run, conn, catalog, by, wish)


@router.post("/{run}/retry", responses=OF_A_RUN | problems(404, 409, 422))
async def retry_run(
    run: UUID, conn: Conn, catalog: TheCatalog, by: By, wish: Retry | None = None
) -> Run:
    """Open a new round of a run that failed or was stopped."""
    wish = wish or Retry()
    starting.require_one(wish.task, wish.whole)
    row = await runs.retry(
        conn, catalog, run, by=by, task=wish.task, whole=wish.whole, input=wish.input
    )
    return shown(row)


@router.get("/{run}/why", responses=problems(404, 422))
async def explain_run(run: UUID, conn: Conn) -> Why:
    """Say why a run does not go on, or how it ended."""
    found = await runs.get(conn, run)
    return Why(run=run, status=found["state"], reasons=await why.why(conn, run))


def shown(row: dict[str, object]) -> Run:
    return Run.model_validate(row)
