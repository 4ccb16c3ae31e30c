"""Tells open pages that something changed: they ask anew for what they show.

The stream carries a number and reads nothing, so many open pages cost the database no more than
few; who asks does so with the person's own rights. Whoever comes back with the number that they
heard last is told at once if something happened since; so nothing is missed between a page and its
stream, or while a connection was cut.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from scheduler.api.methods import is_head
from scheduler.api.problems import AWAY
from scheduler.domain.errors import Refusal, Unauthenticated
from scheduler.loops.pulse import Pulse
from ui import bell, query, sharing
from ui.screen import Screen

router = APIRouter(route_class=Screen)

HEADERS = {"X-Accel-Buffering": "no", "Content-Encoding": "identity"}
STREAM = "text/event-stream"


@router.get("/stream")
async def ui_stream(request: Request) -> Response:
    run = query.run_id(request, "run")
    body = nothing() if is_head(request.scope) else words(request, run)
    return StreamingResponse(body, media_type=STREAM, headers=HEADERS)


async def words(request: Request, run: UUID | None) -> AsyncGenerator[str, None]:
    live, ear = sharing.live_of(request), Pulse()
    told = live.bell.heard(last_of(request))
    with live.presence.listen(ear), live.bell.listen(run, ear) as topic:
        yield "retry: 1000\n\n"
        while True:
            if topic.number > told:
                told = topic.number
                word = live.bell.spoken(told)
                yield f"id: {word}\nevent: changed\ndata: {word}\n\n"
            await ear.wait(2 * bell.SAFETY)
            if not await is_admitted(request):
                yield "event: over\ndata: signed out\n\n"
                return


def last_of(request: Request) -> str | None:
    """What was heard last, on this stream or by the page itself."""
    return request.headers.get("last-event-id") or request.query_params.get("since")


class Clock:
    """Says when it is time again to ask who listens."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._asked = self._time()

    def is_due(self) -> bool:
        if self._time() - self._asked < bell.SAFETY:
            return False
        self._asked = self._time()
        return True


async def is_admitted(request: Request) -> bool:
    """Who was signed out meanwhile hears nothing more."""
    try:
        await sharing.present(request)
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
