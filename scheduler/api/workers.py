"""Workers: who carries tasks out."""

from typing import Annotated

from fastapi import APIRouter, Path

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Worker, Workers
from scheduler.api.state import Conn
from scheduler.services import workers
from scheduler.store import holders

router = APIRouter(prefix="/workers", tags=["workers"], route_class=GuardedRoute)

Name = Annotated[str, Path(min_length=1, max_length=200, examples=["press-1"])]


@router.get("", responses=problems())
async def list_workers(conn: Conn) -> Workers:
    """List workers with their leases; those that are gone, for a day."""
    return Workers(items=[Worker.model_validate(row) for row in await holders.all(conn)])


@router.post("/{name}/drain", responses=problems(404, 422))
async def drain_worker(name: Name, conn: Conn) -> Worker:
    """Let a worker claim nothing more; it goes on with what it has in hand."""
    return Worker.model_validate(await workers.drain(conn, name))


@router.post("/{name}/resume", responses=problems(404, 422))
async def resume_worker(name: Name, conn: Conn) -> Worker:
    """Let a draining worker claim again."""
    return Worker.model_validate(await workers.resume(conn, name))
