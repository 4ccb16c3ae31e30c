"""Frames by HTTP: one request sends all that waits and gets all that waits."""

import asyncio
import time
from collections import deque

from edge import wire
from edge.agent.carriers import Bearer
from edge.agent.tokens import Tokens
from edge.agent.web import Unanswered, Web
from edge.messages import Frame, Have, Item, Lane, Lease, Message
from edge.wire import BadFrame

QUIET, STRETCH = 60.0, 3.0  # seconds without news; how many times the interval is waited then


class Pace:
    """Where nothing has happened for a while, whoever asks may ask less often."""

    def __init__(self) -> None:
        self.news: float | None = None  # when there was some last

    def note(self, said: Frame, heard: Frame, now: float) -> None:
        is_news = any(map(says_something, said.messages)) or any(
            not isinstance(each, Have) for each in heard.messages
        )
        if is_news or self.news is None:
            self.news = now

    def stretch(self, now: float) -> float:
        return STRETCH if self.news is not None and now - self.news >= QUIET else 1.0


def says_something(message: Message) -> bool:
    """That it lives and how warm it is is no news; what it has in hand is."""
    if isinstance(message, Lease):
        return bool(message.running)
    return not (isinstance(message, Item) and message.lane is Lane.METRICS)


class Poll:
    carrier = "poll"

    def __init__(self, web: Web, tokens: Tokens, bearer: Bearer) -> None:
        self.web, self.tokens, self.bearer = web, tokens, bearer
        self.waiting: deque[str] = deque()
        self.arrived = asyncio.Event()
        self.why = ""
        self.every = 5.0  # as the server says
        self.pace = Pace()

    def say(self, texts: list[str]) -> None:
        self.waiting.extend(texts)
        if texts:
            self.arrived.set()

    def cut(self, why: str) -> None:
        self.why = self.why or why
        self.arrived.set()

    async def carry(self) -> None:
        """Until it ends, which is said to the agent and to whoever waits for it."""
        self.bearer.opened(self)
        why = "another carrier has taken over"
        try:
            await self.arrived.wait()  # for hello, which is all that is said until it is answered
            while not self.why:
                await self.exchange()
            why = self.why
        except (Unanswered, BadFrame) as error:
            why = str(error)
            raise Unanswered(why, getattr(error, "status", None)) from None
        finally:
            self.bearer.lost(self, why)

    async def exchange(self) -> None:
        """What is new here is sent at once; what is new there is fetched in the next round."""
        self.arrived.clear()
        said = self.waiting.popleft() if self.waiting else self.bearer.nothing()
        heard = wire.decode(await self.ask(said))
        if heard.messages:
            self.bearer.heard(self, heard)
        self.pace.note(wire.decode(said), heard, time.monotonic())
        if not self.waiting:
            await self.pause()

    async def pause(self) -> None:
        try:
            async with asyncio.timeout(self.every * self.pace.stretch(time.monotonic())):
                await self.arrived.wait()
        except TimeoutError:
            pass

    async def ask(self, said: str) -> bytes:
        path = f"/api/v1/workstations/{self.tokens.name}/sync"
        try:
            return (await self.web.ask("POST", path, said, token=await self.tokens.get())).body
        except Unanswered as error:
            if error.status != 401:
                raise
        self.tokens.forget()  # it may have expired by a clock that differs from ours
        return (await self.web.ask("POST", path, said, token=await self.tokens.get())).body
