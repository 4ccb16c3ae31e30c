"""HTTP methods that no handler of ours has to think of: HEAD, OPTIONS, and what a 405 says."""

from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def allowed(app: FastAPI, scope: Scope) -> set[str]:
    """The methods that the address of this request knows."""
    found = {m for m in METHODS if matches(app, {**scope, "method": m})}
    return found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())


def matches(app: FastAPI, scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)


class Head:
    """HEAD is answered as GET would be, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b""})

        asked = {**scope, "method": "GET", "procession.head": True}
        await self.app(asked, receive, send_head)


def is_head(scope: Scope) -> bool:
    """Whether nobody waits for a body: what would stream for long ends at once."""
    return bool(scope.get("procession.head"))
