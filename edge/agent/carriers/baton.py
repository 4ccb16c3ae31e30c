"""Who holds the baton: the stream as soon as there is one, and polls until then."""

import asyncio
import logging
import time
from contextlib import suppress

from edge.agent.backoff import Windows
from edge.agent.carriers import Bearer
from edge.agent.home import Carrier
from edge.agent.tokens import Tokens
from edge.agent.web import Unanswered, Web
from edge.messages import Frame, Have, Welcome

log = logging.getLogger(__name__)

FENCED_FOR, FENCED_AT_MOST = 60.0, 3600.0  # seconds that another one is left alone
QUIET = 600.0  # seconds after which an old quarrel is forgotten


class Baton:
    def __init__(self, mode: Carrier, web: Web, tokens: Tokens, bearer: Bearer) -> None:
        self.mode, self.web, self.tokens, self.bearer = mode, web, tokens, bearer
        self.windows = Windows()
        self.every = 5.0  # seconds between two polls, as the server says
        self.why = "it has not been tried yet"
        self.fenced = False
        self.quarrels = 0
        self.fenced_at = float("-inf")
        self.called = asyncio.Event()
        self.polling: asyncio.Task[None] | None = None

    def call(self) -> None:
        """Try at once, whatever was decided before."""
        self.called.set()

    def fence(self) -> None:
        """Another agent speaks as we do. Two that push each other out would help nobody: each
        time it is left alone for longer."""
        if self.fenced:
            return
        now = time.monotonic()
        since = now - self.fenced_at
        self.quarrels = 0 if since > 2 * self.pause() + QUIET else self.quarrels + 1
        self.fenced, self.fenced_at = True, now

    def pause(self) -> float:
        return min(FENCED_FOR * 2.0**self.quarrels, FENCED_AT_MOST)

    def heard(self, frame: Frame) -> None:
        """What the server says of when to come."""
        for message in frame.messages:
            match message:
                case Welcome():
                    self.every, self.why = message.poll, ""
                    self.windows.succeeded(message.spread)
                case Have() if message.spread:
                    self.windows.resize(message.spread)

    async def work(self) -> None:
        if self.mode == "called":
            self.why = "the server has not called yet"
            await asyncio.Event().wait()
        try:
            while True:
                await self.wait()
                await self.once()
        finally:
            await self.end_polls()

    async def wait(self) -> None:
        seconds = self.pause() if self.fenced else self.windows.next(time.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.called.wait()
        self.called.clear()
        self.fenced = False

    async def once(self) -> None:
        try:
            if self.mode == "poll":
                await self.poll()
            else:
                await self.stream()
        except Unanswered as error:
            self.missed(error.why)

    async def stream(self) -> None:
        from edge.agent.carriers import stream

        try:
            found = await stream.dial(self.web, self.tokens)
        except stream.Blocked as error:
            self.missed(error.why)
            if self.mode == "auto":
                self.poll_meanwhile()
            return
        await self.end_polls()
        code = await stream.carry(found, self.bearer)
        if code == stream.REVOKED:
            self.tokens.forget()
        if code == stream.FENCED:
            self.fence()

    async def poll(self) -> None:
        from edge.agent.carriers.poll import Poll

        poll = Poll(self.web, self.tokens, self.bearer)
        poll.every = self.every
        await poll.carry()

    def poll_meanwhile(self) -> None:
        if self.polling is None or self.polling.done():
            self.polling = asyncio.create_task(self.poll_quietly(), name="polls")

    async def poll_quietly(self) -> None:
        try:
            await self.poll()
        except Unanswered as error:
            self.missed(error.why)

    async def end_polls(self) -> None:
        if self.polling is not None:
            self.polling.cancel()
            with suppress(asyncio.CancelledError):
                await self.polling
            self.polling = None

    def missed(self, why: str) -> None:
        if why != self.why:
            log.warning("the server is not reached", extra={"reason": why})
        self.why = why
