"""A short way for what is asked for more often than anything else.

To find the handler of an address, and what it wants by its signature, costs more than starting a
run. Here a request is admitted by the same table and read with the same care as anywhere; if it is
in order it is answered, else it goes the way of all, and is told there what is wrong.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler.api.access import guard
from scheduler.api.bodies import CarefulRequest

Handler = Callable[[Request, Exception], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Way:
    """What `guard` has to know of the route, and the answer; None for what is not in order."""

    name: str
    scope: str
    answer: Callable[[CarefulRequest], Awaitable[Response | None]]


class Quick:
    def __init__(self, app: ASGIApp, ways: Mapping[tuple[str, str], Way]) -> None:
        self.app = app
        self.ways = ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = None
        if scope["type"] == "http":
            way = self.ways.get((scope["method"], address(scope)))
        if way is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            careful = await guard(request, way.name, way.scope)
            response = await way.answer(careful)
        except Exception as error:
            response = await refused(request, error)
        if response is None:
            await self.app(scope, again(await careful.body(), receive), send)
        else:
            await response(scope, receive, send)


def address(scope: Scope) -> str:
    query: str = scope["query_string"].decode("latin-1")
    return f"{scope['path']}?{query}" if query else scope["path"]


async def refused(request: Request, error: Exception) -> Response:
    """As the application's own handlers say it."""
    handlers = cast("FastAPI", request.app).exception_handlers
    *kinds, _, _, _ = type(error).__mro__  # Exception itself is for the outermost handler
    for kind in kinds:
        if handler := handlers.get(kind):
            return await cast("Handler", handler)(request, error)
    raise error


def again(body: bytes, receive: Receive) -> Receive:
    """What was read already, and then whatever else comes."""
    read: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return read.pop() if read else await receive()

    return replay
