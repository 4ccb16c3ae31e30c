"""Queues: pause, resume, size."""

from typing import Annotated

from fastapi import APIRouter, Path

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import PauseQueue, Queue, Queues, QueueSize
from scheduler.api.state import By, Conn
from scheduler.domain.names import TYPE_NAME
from scheduler.services import queues
from scheduler.store import queues as stored

router = APIRouter(prefix="/queues", tags=["queues"], route_class=GuardedRoute)

# A queue of a name, or that of an action or a workflow that programs serve.
NAME = f"^(action:|workflow:)?{TYPE_NAME.pattern}$"
Name = Annotated[str, Path(pattern=NAME, examples=["default"])]


@router.get("", responses=problems())
async def list_queues(conn: Conn) -> Queues:
    """List the queues that have a setting or work."""
    return Queues(items=[Queue.model_validate(row) for row in await stored.all(conn)])


@router.post("/{name}/pause", responses=problems(422))
async def pause_queue(name: Name, conn: Conn, by: By, wish: PauseQueue | None = None) -> Queue:
    """Claim nothing more from a queue; what is in hand goes on. The note is shown to all."""
    await queues.pause(conn, name, note=wish.note if wish else None, by=by)
    return await shown(conn, name)


@router.post("/{name}/resume", responses=problems(404, 422))
async def resume_queue(name: Name, conn: Conn, by: By) -> Queue:
    """Claim from a paused queue again."""
    await queues.resume(conn, name, by=by)
    return await shown(conn, name)


@router.put("/{name}/size", responses=problems(422))
async def set_queue_size(name: Name, wish: QueueSize, conn: Conn, by: By) -> Queue:
    """Bound how many tasks of a queue are in hand at once, over all workers; null lifts it."""
    await queues.resize(conn, name, wish.size, by=by)
    return await shown(conn, name)


async def shown(conn: Conn, name: str) -> Queue:
    found = next(row for row in await stored.all(conn) if row["name"] == name)
    return Queue.model_validate(found)
