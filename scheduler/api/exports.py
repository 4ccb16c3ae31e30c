"""Exports: runs and history as files."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import CREATED, Responses, problems
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn, TheServer
from scheduler.services import exports
from scheduler.store import exports as stored

router = APIRouter(prefix="/exports", tags=["exports"], route_class=GuardedRoute)

Id = Annotated[UUID, Path(alias="export")]
TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
CONTENT: Responses = {
    200: {
        "description": "The file.",
        "content": {name.partition(";")[0]: {} for name in TYPES.values()},
    }
}


class CreateExport(BaseModel, extra="forbid"):
    what: Literal["runs", "history"]
    format: Literal["csv", "ndjson"] = "ndjson"
    type: str | None = Field(default=None, max_length=63, description="Of runs: of this type.")
    status: Literal["COMPLETED", "FAILED", "STOPPED"] | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Export(BaseModel):
    id: UUID
    what: str
    format: str
    filters: dict[str, str]
    rows: int
    size: int
    created_at: datetime
    created_by: str
    done_at: datetime | None = Field(description="The file can be had from then on.")
    expires_at: datetime


@router.post("", status_code=201, responses=CREATED | problems(413, 422))
async def create_export(wish: CreateExport, conn: Conn, by: By, response: Response) -> Export:
    """Ask for a file; a chore writes it."""
    filters = wish.model_dump(mode="json", exclude={"what", "format"}, exclude_none=True)
    made = await exports.start(conn, wish.what, wish.format, filters, by=by)
    response.headers["Location"] = f"/api/v1/exports/{made['id']}"
    return Export.model_validate(made)


@router.get("", responses=problems(422))
async def list_exports(conn: Conn, limit: Limit = 50, cursor: Cursor = None) -> Page[Export]:
    """List files that have not expired, the newest first."""
    rows = await stored.page(conn, after=pages.decode(cursor, pages.run_id), limit=limit + 1)
    return pages.page_of(rows, limit, "id", Export.model_validate)


@router.get("/{export}", responses=problems(404, 422))
async def get_export(export: Id, conn: Conn) -> Export:
    """Show how far it is."""
    return Export.model_validate(await exports.get(conn, export))


@router.get(
    "/{export}/file", response_class=StreamingResponse, responses=CONTENT | problems(404, 409, 422)
)
async def get_export_file(export: Id, server: TheServer) -> StreamingResponse:
    """Hand out the file, part by part."""
    async with server.connection() as conn:
        found = await exports.require_done(conn, export)

    async def parts() -> AsyncIterator[bytes]:
        number = 0
        while True:
            async with server.connection() as conn:
                data = await stored.part(conn, export, number)
            if data is None:
                return
            yield data
            number += 1

    name = f"{found['what']}-{export}.{found['format']}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(parts(), media_type=TYPES[found["format"]], headers=headers)


@router.delete("/{export}", status_code=204, responses=problems(404, 422))
async def delete_export(export: Id, conn: Conn) -> None:
    """Delete a file before it expires."""
    await exports.delete(conn, export)
