"""A route for what is asked for more often than anything else.

Finding out by its signature what a handler wants costs more than starting a run. A request that is
in order is answered without that; any other goes the way of all, and is told what is wrong there.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

Quickly = Callable[[Request], Awaitable[Response | None]]


class QuickRoute(APIRoute):
    """To be mixed in behind GuardedRoute: who asks is known by then, and the body read."""

    quickly: ClassVar[Quickly]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, quickly = super().get_route_handler(), type(self).quickly

        async def quick(request: Request) -> Response:
            return await quickly(request) or await handle(request)

        return quick


def is_plain(request: Request) -> bool:
    """JSON and no parameters: what nearly everybody sends."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    return kind == "application/json" and not request.scope["query_string"]
