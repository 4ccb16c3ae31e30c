"""Tells open pages that something changed: they ask anew for what they show.

The stream carries no data and reads nothing, so many open pages cost the database no more than
few; who asks does so with the person's own rights. Each connection begins with a word, so that
nothing is missed between a page and its stream, or while a connection was cut.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from scheduler.api.live import Hub
from scheduler.api.methods import is_head
from scheduler.api.problems import AWAY
from scheduler.api.state import TheServer
from scheduler.domain.errors import Refusal, Unauthenticated
from scheduler.loops.pulse import Pulse
from ui import query, session
from ui.screen import Screen

router = APIRouter(route_class=Screen)

OFTEN = {True: 0.25, False: 1.0}  # seconds between two words: of one run, of all
SAFETY = 15.0  # a notification that was lost costs this much; proxies close what is silent longer
HEADERS = {"X-Accel-Buffering": "no", "Content-Encoding": "identity"}
STREAM = "text/event-stream"


@router.get("/stream")
async def ui_stream(request: Request, server: TheServer) -> Response:
    run = query.run_id(request, "run")
    last = request.headers.get("last-event-id", "0")
    number = int(last) if last.isascii() and last.isdecimal() and len(last) < 10 else 0
    body = nothing() if is_head(request.scope) else words(request, server.hub, run, number)
    return StreamingResponse(body, media_type=STREAM, headers=HEADERS)


async def words(
    request: Request, hub: Hub, run: UUID | None, number: int
) -> AsyncGenerator[str, None]:
    clock = Clock()
    with followed(hub, run) as pulse:
        yield "retry: 1000\n"
        while True:
            number += 1
            yield f"id: {number}\nevent: changed\ndata: {number}\n\n"
            await asyncio.sleep(OFTEN[run is not None])  # what comes meanwhile is told as one
            await pulse.wait(SAFETY)
            if clock.is_due() and not await is_admitted(request):
                yield "event: over\ndata: signed out\n\n"
                return


class Clock:
    """Says when it is time again to ask who listens."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._asked = self._time()

    def is_due(self) -> bool:
        if self._time() - self._asked < SAFETY:
            return False
        self._asked = self._time()
        return True


def followed(hub: Hub, run: UUID | None) -> AbstractContextManager[Pulse]:
    return hub.follow_all() if run is None else hub.follow(run)


async def is_admitted(request: Request) -> bool:
    """Who was signed out meanwhile hears nothing more."""
    try:
        await session.authenticate(request)
    except Unauthenticated:
        return False
    except (*AWAY, Refusal):
        return True
    return True


async def nothing() -> AsyncIterator[str]:
    return
    yield ""


async def nothing_bytes() -> AsyncIterator[bytes]:
    return
    yield b""
