"""Nobody waits for ever: a request whose answer does not begin in time is put off.

Acquiring a connection is bounded already; this is for a database that begins to hang while a
statement runs. Such work is left to itself (see `Server.within`), so a start may have happened:
an `Idempotency-Key` makes it safe to ask again.
"""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler.api import problems
from scheduler.api.limits import LIMITS
from scheduler.api.preferences import seconds
from scheduler.api.state import Server, carry_out
from scheduler.domain.errors import Unavailable

DEADLINE = 12.0  # seconds, beyond what the request itself asks to wait
RESTART = 70.0


class TooLate(Exception):
    """The answer has not begun in time."""


class Deadline:
    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app = app
        self.server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        group = self.server.group
        if scope["type"] != "http" or group is None:
            await self.app(scope, receive, send)
            return
        LIMITS.set(self.server.settings)
        answering = Answering(send, allowed(scope))
        work = self.app(scope, receive, answering.send)
        task = group.create_task(carry_out(work, answering.ended, None))
        try:
            await answering.ended
        except TooLate:
            await put_off(scope, receive, send)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            answering.in_time()


class Answering:
    """An answer on its way, which may be too late to be sent."""

    def __init__(self, send: Send, patience: float) -> None:
        loop = asyncio.get_running_loop()
        self._send = send
        self._given_up = False
        self._patience = loop.call_later(patience, self._give_up)
        self.ended: asyncio.Future[None] = loop.create_future()

    def in_time(self) -> None:
        self._patience.cancel()

    def _give_up(self) -> None:
        if not self.ended.done():
            self._given_up = True
            self.ended.set_exception(TooLate())

    async def send(self, message: Message) -> None:
        if self._given_up:
            return
        self.in_time()
        await self._send(message)


def allowed(scope: Scope) -> float:
    more = RESTART if scope["path"].endswith("/restart") else 0.0
    preferred = next((value for name, value in scope["headers"] if name == b"prefer"), b"")
    return DEADLINE + more + seconds(preferred.decode("latin-1"))


async def put_off(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    late = Unavailable("the database does not answer in time", remedy="ask again, with a key")
    await (await problems.refuse(request, late))(scope, receive, send)
