"""Chores: what is done about processes in the background, and what became of it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.services import chores
from scheduler.store import chores as stored

router = APIRouter(prefix="/chores", tags=["chores"], route_class=GuardedRoute)

BIG = 2**63 - 1
Id = Annotated[int, Path(alias="chore", ge=1, le=BIG)]
Name = Annotated[
    str | None, Query(alias="chore", pattern=r"^[a-z_]{1,63}$", description="Of this kind.")
]
State = Literal["SCHEDULED", "WAITING", "RUNNING", "FAILED"]
End = Literal["SUCCEEDED", "FAILED", "RETRIED", "LOST", "HANDED_BACK", "MERGED", "DELETED"]


class Chore(BaseModel):
    """A chore that is not done."""

    id: int
    chore: str = Field(description="Its kind.", examples=["export"])
    status: State
    args: dict[str, Any]
    priority: int
    attempts: int
    lock: str | None = Field(description="Of those with the same one, at most one waits.")
    deferred_at: datetime | None
    scheduled_at: datetime | None = Field(description="Not before this time.")
    done: int | None = Field(description="How many things it has gone through.")
    total: int | None
    note: str | None
    error: str | None = Field(description="Of its latest attempt.")
    failed_at: datetime | None


class ChoreAttempt(BaseModel):
    """What became of an attempt at a chore."""

    id: int
    job: int = Field(description="The chore's id.")
    chore: str
    args: dict[str, Any]
    attempt: int
    status: End
    server: str
    started_at: datetime | None
    ended_at: datetime
    error: str | None
    trace: str | None


class ChoreCounts(BaseModel):
    chore: str
    scheduled: int
    waiting: int
    running: int
    failed: int


class AllChoreCounts(BaseModel):
    items: list[ChoreCounts]


class RetryChores(BaseModel, extra="forbid"):
    chore: str = Field(pattern=r"^[a-z_]{1,63}$", description="All failed ones of this kind.")


class Retried(BaseModel):
    retried: int


@router.get("", responses=problems(422))
async def list_chores(
    conn: Conn,
    status: State | None = None,
    chore: Name = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Chore]:
    """List chores that are not done, the newest first."""
    after = pages.decode(cursor, pages.big_number)
    rows = await stored.page(conn, status=status, chore=chore, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "id", Chore.model_validate)


@router.get("/counts", responses=problems())
async def count_chores(conn: Conn) -> AllChoreCounts:
    """Count chores that are not done, by kind and status."""
    rows = await stored.counts(conn)
    return AllChoreCounts(items=[ChoreCounts.model_validate(row) for row in rows])


@router.get("/history", responses=problems(422))
async def list_chore_history(
    conn: Conn,
    chore: Name = None,
    job: Annotated[int | None, Query(ge=1, le=BIG, description="Of this chore.")] = None,
    status: End | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ChoreAttempt]:
    """List attempts that ended, the newest first, with error and trace; for two weeks."""
    after = pages.decode(cursor, pages.big_number)
    rows = await stored.history(
        conn, chore=chore, job=job, state=status, after=after, limit=limit + 1
    )
    return pages.page_of(rows, limit, "id", ChoreAttempt.model_validate)


@router.post("/retry", responses=problems(422))
async def retry_chores(wish: RetryChores, conn: Conn) -> Retried:
    """Retry all failed chores of a kind."""
    return Retried(retried=await chores.retry_all(conn, wish.chore))


@router.get("/{chore}", responses=problems(404, 422))
async def get_chore(chore: Id, conn: Conn) -> Chore:
    """Show a chore that is not done."""
    return Chore.model_validate(await chores.get(conn, chore))


@router.post("/{chore}/run-now", responses=problems(404, 409, 422))
async def run_chore_now(chore: Id, conn: Conn) -> Chore:
    """Run a chore now that was put off."""
    return Chore.model_validate(await chores.run_now(conn, chore))


@router.post("/{chore}/retry", responses=problems(404, 409, 422))
async def retry_chore(chore: Id, conn: Conn) -> Chore:
    """Let a failed chore begin again, with all its attempts."""
    return Chore.model_validate(await chores.retry(conn, chore))


@router.delete("/{chore}", status_code=204, responses=problems(404, 409, 422))
async def delete_chore(chore: Id, conn: Conn, by: By) -> None:
    """Delete a chore that waits or failed; its history stays."""
    await chores.delete(conn, chore, by=by)
