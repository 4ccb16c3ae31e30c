"""Process records: saved, startable processes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from scheduler.api import editions, pages, starting
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import CREATED, Responses, problems
from scheduler.api.editions import IfMatch, Outdated
from scheduler.api.filters import Counted
from scheduler.api.links import OF_A_NEW_RECORD, OF_A_NEW_RUN, joined
from scheduler.api.models import (
    ChangeRecord,
    CreateRecord,
    Record,
    ReplaceRecord,
    Run,
    StartRecord,
    Stop,
)
from scheduler.api.pages import CountedPage, Cursor, Limit, Page
from scheduler.api.starting import Key, Prefer
from scheduler.api.state import By, Conn, Server, TheCatalog, TheServer
from scheduler.domain.counts import MOST, Count
from scheduler.domain.errors import Conflict, Invalid
from scheduler.domain.states import RunState
from scheduler.services import records, restarts, runs
from scheduler.services.records import Draft, Edited
from scheduler.store import process_records as stored
from scheduler.store import runs as stored_runs
from scheduler.store.rows import Row
from scheduler.store.runs import Filter

router = APIRouter(prefix="/process-records", tags=["process records"], route_class=GuardedRoute)

Id = Annotated[str, Path(alias="record", min_length=1, max_length=200, examples=["nightly"])]
MADE: Responses = {
    201: {
        "headers": {
            "Location": {"description": "Where it is.", "schema": {"type": "string"}},
            "ETag": {"description": "For `If-Match`.", "schema": {"type": "string"}},
        }
    }
}
PATIENCE = 60  # seconds that a restart waits for the end of the run before


@router.post(
    "",
    status_code=201,
    responses=joined(MADE, OF_A_NEW_RECORD, problems(404, 409, 413, 422)),
)
async def create_process_record(
    draft: CreateRecord, conn: Conn, catalog: TheCatalog, by: By, response: Response
) -> Record:
    """Create a process record under an id of your choice."""
    wish = Draft(
        type=draft.type,
        input=draft.input,
        vars=draft.vars,
        description=draft.description,
        priority=draft.priority,
    )
    made = shown(await records.create(conn, catalog, draft.id, wish, by=by))
    response.headers["ETag"] = editions.tag(made.version, made)
    response.headers["Location"] = f"/api/v1/process-records/{quote(made.id, safe='')}"
    return made


@router.get("", responses=problems(422))
async def list_process_records(
    conn: Conn,
    type: Annotated[str | None, Query(max_length=63)] = None,
    status: Annotated[
        list[RunState] | None,
        Query(description="Of their latest runs, one or several; PENDING before the first."),
    ] = None,
    q: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="A part of the id or of the description, in whatever case.",
            examples=["night"],
        ),
    ] = None,
    count: Counted = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CountedPage[Record]:
    """List process records in the order of their ids."""
    statuses = [each.value for each in status] if status else None
    wanted = stored.Filter(type=type, statuses=statuses, text=q)
    after = pages.decode(cursor, pages.text)
    rows = await stored.page(conn, wanted, after=after, limit=limit + 1)
    total = Count.of(await stored.count(conn, wanted, MOST + 1)) if count else None
    page = pages.page_of(rows, limit, "id", shown)
    return CountedPage(items=page.items, next=page.next, **pages.counted(total))


@router.get("/{record}", response_model=Record, responses=problems(404, 422))
async def get_process_record(
    record: Id, conn: Conn, request: Request, response: Response
) -> Record | Response:
    """Show a process record; 304 if `If-None-Match` names what is there."""
    found = shown(await records.get(conn, record))
    if editions.label(request, response, found.version, found):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return found


@router.put("/{record}", responses=problems(404, 409, 412, 422))
async def replace_process_record(
    record: Id,
    draft: ReplaceRecord,
    conn: Conn,
    catalog: TheCatalog,
    response: Response,
    if_match: IfMatch = None,
) -> Record:
    """Replace what people may say of a process record; its runs stay."""
    wish = Draft(
        type=draft.type,
        input=draft.input,
        vars=draft.vars,
        description=draft.description,
        priority=draft.priority,
    )
    version = editions.expected(if_match)
    with told_if_outdated():
        row = await records.change(conn, catalog, record, wish, expected=version)
    return labelled(row, response)


@router.patch("/{record}", responses=problems(404, 409, 412, 422))
async def change_process_record(
    record: Id,
    change: ChangeRecord,
    conn: Conn,
    catalog: TheCatalog,
    response: Response,
    if_match: IfMatch = None,
) -> Record:
    """Change parts of a process record; what is left out stays as it is.

    `input` is the whole input; `changes` are laid over the one that it has.
    """
    given = change.model_dump(exclude_unset=True, exclude={"changes"})
    if "input" in given and change.changes is not None:
        raise Invalid(
            "`input` and `changes` exclude each other",
            field="changes",
            remedy="send the whole input, or what is to be laid over it",
        )
    version = editions.expected(if_match)
    with told_if_outdated():
        row = await records.patch(
            conn, catalog, record, given, changes=change.changes, expected=version
        )
    return labelled(row, response)


@contextmanager
def told_if_outdated() -> Iterator[None]:
    try:
        yield
    except Edited as edited:
        raise Outdated(str(edited), remedy="read it again and repeat the change") from edited


def labelled(row: Row, response: Response) -> Record:
    done = shown(row)
    response.headers["ETag"] = editions.tag(done.version, done)
    return done


@router.delete("/{record}", status_code=204, responses=problems(404, 409, 412, 422))
async def delete_process_record(record: Id, conn: Conn, if_match: IfMatch = None) -> None:
    """Delete a process record that does not run; its runs stay readable."""
    with told_if_outdated():
        await records.delete(conn, record, expected=editions.expected(if_match))


@router.post(
    "/{record}/start",
    status_code=201,
    responses=joined(CREATED, OF_A_NEW_RUN, problems(404, 409, 422)),
)
async def start_process_record(
    record: Id,
    response: Response,
    server: TheServer,
    by: By,
    wish: StartRecord | None = None,
    key: Key = None,
    prefer: Prefer = None,
) -> Run:
    """Start a run of a process record, which has one living run at most."""
    input = wish.input if wish else None
    return await starting.started(
        server,
        response,
        lambda conn: records.start(conn, server.catalog, record, by=by, input=input, key=key),
        prefer,
    )


@router.post("/{record}/stop", responses=problems(404, 409, 422))
async def stop_process_record(
    record: Id, conn: Conn, catalog: TheCatalog, by: By, wish: Stop | None = None
) -> Record:
    """Stop the run of a process record."""
    wish = wish or Stop()
    run = await records.running(conn, record)
    await runs.stop(conn, catalog, run, by=by, kill=wish.kill, why=wish.why)
    return shown(await records.get(conn, record))


@router.post("/{record}/hold", responses=problems(404, 409, 422))
async def hold_process_record(record: Id, conn: Conn, catalog: TheCatalog, by: By) -> Record:
    """Begin nothing more of its run; what is in hand goes on to its end."""
    await runs.hold(conn, catalog, await records.running(conn, record), by=by)
    return shown(await records.get(conn, record))


@router.post("/{record}/pause", responses=problems(404, 409, 422))
async def pause_process_record(record: Id, conn: Conn, catalog: TheCatalog, by: By) -> Record:
    """The same as hold."""
    return await hold_process_record(record, conn, catalog, by)


@router.post("/{record}/resume", responses=problems(404, 409, 422))
async def resume_process_record(record: Id, conn: Conn, catalog: TheCatalog, by: By) -> Record:
    """Let its held run go on."""
    await runs.resume(conn, catalog, await records.running(conn, record), by=by)
    return shown(await records.get(conn, record))


@router.post(
    "/{record}/restart",
    status_code=201,
    responses=joined(CREATED, OF_A_NEW_RUN, problems(404, 409, 422)),
)
async def restart_process_record(
    record: Id,
    response: Response,
    server: TheServer,
    by: By,
    wish: StartRecord | None = None,
    key: Key = None,
    prefer: Prefer = None,
) -> Run:
    """Stop the run of a process record, wait until it has ended, and start a new one."""
    async with server.connection() as conn:
        before = await restarts.stop_if_running(
            conn, server.catalog, record, by=by, input=wish.input if wish else None, key=key
        )
    if before is not None:
        await require_ended(server, before)
    return await start_process_record(record, response, server, by, wish, key, prefer)


async def require_ended(server: Server, run: UUID) -> None:
    async with asyncio.timeout(PATIENCE + 5):
        ended = await starting.ended(server, run, PATIENCE)
    if not ended.status.is_final:
        raise Conflict(
            f"run {run} is {ended.status} and has not ended within {PATIENCE} s: "
            "restart again, or stop it with `kill`"
        )


@router.get("/{record}/runs", responses=problems(404, 422))
async def list_process_record_runs(
    record: Id, conn: Conn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Run]:
    """List the runs of a process record, the newest first; those of a deleted one too."""
    after = pages.decode(cursor, pages.run_id)
    rows = await stored_runs.page(conn, Filter(record=record), after=after, limit=limit + 1)
    if not rows and after is None:
        await records.get(conn, record)
    return pages.page_of(rows, limit, "id", Run.model_validate)


def shown(row: Row) -> Record:
    return Record.model_validate(row)
