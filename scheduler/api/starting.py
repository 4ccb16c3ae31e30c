"""Starts over HTTP: the idempotency key, and waiting for the end if somebody prefers to."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Request, Response
from psycopg import AsyncConnection
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders

from scheduler.api.bodies import CarefulRequest
from scheduler.api.live import SAFETY
from scheduler.api.models import Run, StartRun, Taken
from scheduler.api.preferences import LONGEST, seconds
from scheduler.api.state import ACTOR, Server, caller_of, server_of
from scheduler.domain.errors import Invalid
from scheduler.services import runs
from scheduler.services.runs import Begun, Order
from scheduler.services.starts import Wish

KEY = re.compile(r"[\x21-\x7e]{1,255}")
LONGEST_PREFER = 200

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request gives the same run.",
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        max_length=LONGEST_PREFER,
        description=f"`wait=N`: answer when the run has ended, after {LONGEST} s at most.",
        examples=["wait=1"],
    ),
]


Start = Callable[[AsyncConnection[Any]], Awaitable[Begun]]


async def quickly(request: CarefulRequest) -> Response | None:
    """A start that is in order; None for what the checks of the framework are to name."""
    key, prefer = request.headers.get("idempotency-key"), request.headers.get("prefer")
    if not is_plain(request) or not await request.body():
        return None
    if (key is not None and not KEY.fullmatch(key)) or len(prefer or "") > LONGEST_PREFER:
        return None
    try:
        wish = StartRun.model_validate(await request.json())
    except ValidationError:
        return None
    headers = MutableHeaders()
    order = order_of(wish, by=caller_of(request).name, key=key)
    run = await ordered(server_of(request), headers, order, prefer)
    return Response(run.model_dump_json(), 201, headers, "application/json")


async def taken_quickly(request: CarefulRequest) -> Response | None:
    """The same for one that waits for no commit."""
    key = request.headers.get("idempotency-key")
    if not is_plain(request) or "prefer" in request.headers:
        return None
    if key is not None and not KEY.fullmatch(key):
        return None
    body = await request.body()
    try:
        wish = StartRun.model_validate(await request.json()) if body else None
    except ValidationError:
        return None
    if wish is None:
        return None
    order = order_of(wish, by=caller_of(request).name, key=key)
    return taken(server_of(request), order, len(body))


def taken(server: Server, order: Order, size: int) -> Response:
    """Answered before anything is stored: it may come to nothing, and nobody is told."""
    actor = ACTOR.get()
    if actor is None:
        raise LookupError("nobody is named who starts this run")
    server.shelf.put(Wish(order, actor), size)
    told = Taken(waiting=len(server.shelf))
    return Response(told.model_dump_json(), 202, media_type="application/json")


def is_plain(request: Request) -> bool:
    """JSON by its usual name, which is what nearly everybody sends."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    return kind == "application/json"


def order_of(wish: StartRun, *, by: str, key: str | None) -> Order:
    return Order(
        type=wish.type,
        version=wish.version,
        input=wish.input,
        priority=wish.priority,
        labels=wish.labels,
        by=by,
        key=key,
    )


async def ordered(server: Server, headers: MutableHeaders, order: Order, prefer: str | None) -> Run:
    """Start a run together with those who ask at the same time."""
    actor = ACTOR.get()
    if actor is None:
        raise LookupError("nobody is named who starts this run")
    begun = await server.starts.ask(Wish(order, actor))
    run = Run.model_validate(begun.row) if begun.row else await read(server, begun.id)
    return await answered(server, headers, begun, run, prefer)


async def started(server: Server, response: Response, start: Start, prefer: str | None) -> Run:
    """Start a run, and answer with it as it is then, or when it has ended."""
    async with server.connection() as conn:
        begun = await start(conn)
        run = Run.model_validate(await runs.get(conn, begun.id))
    return await answered(server, response.headers, begun, run, prefer)


async def answered(
    server: Server, headers: MutableHeaders, begun: Begun, run: Run, prefer: str | None
) -> Run:
    headers["Location"] = f"/api/v1/runs/{run.id}"
    if begun.replayed:
        headers["Idempotency-Replayed"] = "true"
    if wait := seconds(prefer):
        headers["Preference-Applied"] = f"wait={wait}"
        return await ended(server, run.id, wait)
    return run


async def ended(server: Server, run: UUID, wait: float) -> Run:
    """The run as it is when it has ended, or when `wait` seconds are over."""
    end = asyncio.get_running_loop().time() + wait
    with server.hub.follow(run) as pulse:
        while True:
            found = await read(server, run)
            left = end - asyncio.get_running_loop().time()
            if found.status.is_final or left <= 0:
                return found
            await pulse.wait(min(SAFETY, left))


async def read(server: Server, run: UUID) -> Run:
    async with server.connection() as conn:
        return Run.model_validate(await runs.get(conn, run))


def require_one(task: str | None, whole: bool) -> None:
    if task is not None and whole:
        raise Invalid("`task` and `whole` exclude each other", field="whole")
