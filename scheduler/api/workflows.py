"""Workflows of a run: what they were sent, what they tell, and runs that begin as they did."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import CREATED, problems
from scheduler.api.links import OF_A_NEW_RUN, joined
from scheduler.api.live import SAFETY
from scheduler.api.models import Inward, Outward, Run, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.preferences import seconds
from scheduler.api.starting import Prefer
from scheduler.api.state import By, Conn, Server, TheCatalog, TheServer
from scheduler.domain.states import RunState, TaskState
from scheduler.services import runs, workflows
from scheduler.services.workflows import Fork
from scheduler.store.flows import Message as NewMessage
from scheduler.store.rows import Row

router = APIRouter(prefix="/runs/{run}", tags=["runs"], route_class=GuardedRoute)

Topic = Annotated[str, Field(max_length=200, examples=["approved"])]
KeyText = Annotated[str, Field(min_length=1, max_length=200, examples=["order-7-paid"])]
StreamName = Annotated[str, Path(alias="stream", min_length=1, max_length=200)]


class SendMessage(Inward):
    topic: Topic = ""
    body: Any = Field(default=None, examples=[{"paid": True}])
    key: KeyText | None = Field(
        default=None, description="Sent once to the run, however often it is sent."
    )


class Sent(Outward):
    """A message that waits to be taken, or was."""

    id: int
    topic: str
    key: str | None
    sent_by: str
    sent_at: Time


class Message(Sent):
    body: Any
    taken_at: Time | None = Field(description="Null while nobody has taken it.")
    taken_by: str | None = Field(description="The name of the call that took it.")


class Telling(Outward):
    """A value under a key, or in a stream."""

    id: int
    name: str
    value: Any
    at: Time


class Streams(BaseModel):
    items: list[str]


class Divergence(BaseModel):
    """The code does something else than it did."""

    seq: int
    expected: str
    found: str


class Workflow(Outward):
    """How far a workflow of a run is."""

    task: str = Field(validation_alias="name")
    position: int
    status: TaskState = Field(validation_alias="state")
    version: str | None = Field(description="Of the code that it was offered to last.")
    attempt: int
    replays: int = Field(description="How often its code was begun again.")
    calls: int = Field(description="How many it has made in this round.")
    results: int = Field(validation_alias="orders", description="How many of them are known.")
    diverged: Divergence | None


class Workflows(BaseModel):
    items: list[Workflow]


class Related(Outward):
    """A run that another was forked from, or a fork of it."""

    id: UUID
    kind: Literal["fork", "model"]
    type: str
    status: RunState = Field(validation_alias="state")
    from_seq: int | None = Field(validation_alias="forked_seq")
    created_at: Time


class Forks(BaseModel):
    items: list[Related]


class ForkRun(Inward):
    from_seq: Annotated[int, Field(ge=1, le=99_999)] = Field(
        description="The number of the first call that is made anew.", examples=[3]
    )
    task: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Which of its workflows, if there are several."
    )
    input: dict[str, Any] | None = Field(default=None, description="That of the run otherwise.")


@router.post("/messages", status_code=201, responses=problems(404, 409, 413, 422))
async def send_message(run: UUID, wish: SendMessage, conn: Conn, by: By) -> Sent:
    """Send a message to a run, for the next `recv` of its topic there."""
    message = NewMessage(run, wish.topic, wish.key, wish.body, by)
    return Sent.model_validate(await workflows.send(conn, message))


@router.get("/messages", responses=problems(404, 422))
async def list_messages(
    run: UUID,
    conn: Conn,
    topic: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Message]:
    """List the messages that a run was sent, the first of them first."""
    after = pages.decode(cursor, pages.big_number) or 0
    rows = await workflows.messages(conn, run, topic=topic, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "id", Message.model_validate)


@router.get("/values", responses=problems(404, 422))
async def list_values(
    run: UUID,
    conn: Conn,
    key: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="All values under it, in their order."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Telling]:
    """List what a run tells: the newest value under each key, or all there were under one."""
    if key is None:
        after = pages.decode(cursor, pages.text) or ""
        newest = await workflows.values(conn, run, after=after, limit=limit + 1)
        return pages.page_of(newest, limit, "name", Telling.model_validate)
    rows = await workflows.tellings(
        conn,
        run,
        "value",
        key,
        after=pages.decode(cursor, pages.big_number) or 0,
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", Telling.model_validate)


@router.get("/streams", responses=problems(404, 422))
async def list_streams(run: UUID, conn: Conn) -> Streams:
    """List the names of the streams that a run writes."""
    return Streams(items=await workflows.streams(conn, run))


@router.get("/streams/{stream}", responses=problems(404, 422))
async def read_stream(
    run: UUID,
    stream: StreamName,
    server: TheServer,
    response: Response,
    after: Annotated[int, Query(ge=0, le=2**62, description="`id` of the last one seen.")] = 0,
    limit: Limit = 100,
    prefer: Prefer = None,
) -> Page[Telling]:
    """Read a stream of a run, the first value first.

    With `Prefer: wait=N` and nothing after the last one seen, the answer comes when there is
    something, or the run has ended, or after N seconds.
    """
    if wait := seconds(prefer):
        response.headers["Preference-Applied"] = f"wait={wait}"
    rows = await written(server, run, stream, after, limit + 1, wait)
    return pages.page_of(rows, limit, "id", Telling.model_validate)


async def written(
    server: Server, run: UUID, stream: str, after: int, limit: int, wait: float
) -> Sequence[Row]:
    end = asyncio.get_running_loop().time() + wait
    with server.hub.follow(run) as pulse:
        while True:
            async with server.connection() as conn:
                is_over = (await runs.get(conn, run))["finished_at"] is not None
                rows = await workflows.tellings(
                    conn, run, "stream", stream, after=after, limit=limit
                )
            left = end - asyncio.get_running_loop().time()
            if rows or is_over or left <= 0:
                return rows
            await pulse.wait(min(SAFETY, left))


@router.get("/workflows", responses=problems(404, 422))
async def list_run_workflows(run: UUID, conn: Conn) -> Workflows:
    """Show how far the workflows of a run are, under which version of their code."""
    rows = await workflows.of_run(conn, run)
    return Workflows(items=[Workflow.model_validate(row) for row in rows])


@router.get("/forks", responses=problems(404, 422))
async def list_run_forks(run: UUID, conn: Conn) -> Forks:
    """List the forks of a run, and the run that it was forked from."""
    rows = await workflows.forks(conn, run)
    return Forks(items=[Related.model_validate(row) for row in rows])


@router.post(
    "/fork", status_code=201, responses=joined(CREATED, OF_A_NEW_RUN, problems(404, 409, 422))
)
async def fork_run(
    run: UUID, wish: ForkRun, conn: Conn, catalog: TheCatalog, by: By, response: Response
) -> Run:
    """Start another run that begins with what the workflow of this one knew below a call."""
    fork = Fork(run=run, from_seq=wish.from_seq, task=wish.task, input=wish.input, by=by)
    made = await workflows.fork(conn, catalog, fork)
    response.headers["Location"] = f"/api/v1/runs/{made}"
    return Run.model_validate(await runs.get(conn, made))
