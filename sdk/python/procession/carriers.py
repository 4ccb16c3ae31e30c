"""What carries frames to the server and back: a WebSocket, or polls where that is blocked."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Literal, Protocol
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)
from websockets.typing import Subprotocol

from procession import wire
from procession.connecting import Misconfigured, Server
from procession.core import Core
from procession.messages import Frame
from procession.windows import Windows

log = logging.getLogger(__name__)

Mode = Literal["auto", "stream", "poll"]
PROTOCOL = Subprotocol("procession.worker.1")
STREAM, SYNC = "/api/v1/workers/stream", "/api/v1/workers/sync"
OPENING = 15.0  # seconds until there is a stream and the server has welcomed us
PACE = 0.001  # seconds between frames: a server hears 2,000 a second of one worker
SILENCE = 20.0  # seconds until a quiet stream is asked whether it still is one
POLLED_FOR = 300.0  # seconds until a stream is tried again
UNREADABLE, REFUSED, VERSIONS, OVER = 4400, 4401, 4406, 4409
REMEDIES = {
    401: "the server does not know this token: `procession tokens create --role worker` makes one",
    403: "this token may do other things: `procession tokens create --role worker` makes one"
    " for workers",
    VERSIONS: "the server and this SDK have no version of the protocol in common: "
    "upgrade the older one",
}


class Rejected(Exception):
    """The server does not want this worker, now and later. Says why, and what to do about it."""


class Unanswered(Exception):
    """Nobody answered, or not as it should be: it is tried again."""


class Blocked(Unanswered):
    """Something answered, and no stream came of it: polls may get through."""


class Straight(connect):
    """Follows nobody elsewhere: the token is for one server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Bearer(Protocol):
    """The worker, as carriers see it."""

    core: Core
    pulse: asyncio.Event  # there is something to say
    welcomed: asyncio.Event
    poll_every: float

    def opened(self) -> None: ...
    def heard(self, frame: Frame) -> None: ...
    def over(self, why: str) -> None:
        """The server has ended the session."""

    def lost(self) -> None: ...


class Carriers:
    def __init__(self, server: Server, mode: Mode, bearer: Bearer) -> None:
        self.server, self.mode, self.bearer = server, mode, bearer
        self.context = server.context()
        self.windows = Windows()
        self.used = ""  # the token that was sent last
        self.is_cut = False  # what is connected is of no use any more
        self.is_polling = False
        self.why = ""

    async def work(self) -> None:
        """Until it has left, is cancelled, or the server does not want this worker."""
        while not self.bearer.core.has_left:
            try:
                await self.once()
            except Unanswered as error:
                self.missed(str(error))
            if not self.bearer.core.has_left:
                await asyncio.sleep(self.windows.next(time.monotonic()))

    def missed(self, why: str) -> None:
        if why != self.why:
            log.warning("the server at %s is not reached: %s", self.server.url, why)
        self.why = why

    def met(self) -> None:
        self.windows.succeeded()
        self.why = ""

    async def once(self) -> None:
        if self.mode == "poll":
            await self.poll()
            return
        try:
            await self.stream()
        except Blocked as error:
            if self.mode == "stream":
                raise
            self.missed(f"{error}: polling instead")
            await self.poll(POLLED_FOR)

    def token(self) -> str:
        self.used = self.server.token()
        return self.used

    def rejected(self, status: int) -> Exception:
        """For good, unless another token lies in the file by now."""
        if status in (401, REFUSED):
            with suppress(Misconfigured):
                if self.server.token() != self.used:
                    return Unanswered("the token was replaced")
            status = 401
        return Rejected(REMEDIES[status])

    # Streams

    async def stream(self) -> None:
        socket = await self.dial()
        self.bearer.opened()
        saying = asyncio.create_task(self.say(socket), name="saying")
        watching = asyncio.create_task(self.watch(socket), name="watching")
        # Whoever can only hear is of no use.
        saying.add_done_callback(lambda _: socket.transport.abort())
        try:
            await self.hear(socket)
        finally:
            for each in (saying, watching):
                each.cancel()
            ends = await asyncio.gather(saying, watching, return_exceptions=True)
            socket.transport.abort()
            self.bearer.lost()
        for end in ends:
            if isinstance(end, Exception):
                raise end
        self.judge(socket)

    async def dial(self) -> ClientConnection:
        parts = urlsplit(self.server.url)
        scheme = "wss" if self.server.is_secure else "ws"
        try:
            return await Straight(
                f"{scheme}://{parts.netloc}{parts.path}{STREAM}",
                ssl=self.context,
                subprotocols=[PROTOCOL],
                additional_headers={"Authorization": f"Bearer {self.token()}"},
                user_agent_header="procession-sdk-python",
                compression=None,
                proxy=None if self.server.is_here else True,
                open_timeout=OPENING,
                close_timeout=2,
                ping_interval=SILENCE,
                ping_timeout=SILENCE,
                max_size=2 * wire.LARGEST,
            )
        except InvalidStatus as error:
            raise self.answered(error.response.status_code) from None
        except (InvalidHandshake, InvalidProxyStatus, ProxyError, TimeoutError, EOFError) as error:
            raise Blocked(f"no stream gets through: {error or type(error).__name__}") from None
        except OSError as error:
            raise Unanswered(worded(error)) from None

    def answered(self, status: int) -> Exception:
        if status in (401, 403):
            return self.rejected(status)
        if status == 429 or status >= 500:
            return Unanswered(f"the server answers {status}")
        return Blocked(f"the server answers {status} to a stream")

    async def hear(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed, OSError):
            async for text in socket:
                self.bearer.heard(read(text))
                if self.is_cut:
                    return

    async def say(self, socket: ClientConnection) -> None:
        pulse, core = self.bearer.pulse, self.bearer.core
        with suppress(ConnectionClosed, OSError):
            while True:
                await pulse.wait()
                await asyncio.sleep(0)  # what comes at the same moment goes in the same frame
                pulse.clear()
                frames = core.take()
                for frame in frames:
                    await socket.send(frame)
                if core.is_done:
                    await socket.close()
                    return
                if frames:
                    await asyncio.sleep(PACE)

    async def watch(self, socket: ClientConnection) -> None:
        """A stream by which no welcome comes is none."""
        try:
            async with asyncio.timeout(OPENING):
                await self.bearer.welcomed.wait()
        except TimeoutError:
            socket.transport.abort()

    def judge(self, socket: ClientConnection) -> None:
        """Why it has ended, and what follows."""
        code, reason = socket.close_code, socket.close_reason
        if self.bearer.core.has_left:
            return
        if code in (REFUSED, VERSIONS):
            raise self.rejected(code)
        if code == OVER:
            self.bearer.over(reason or "the session is over")
        if code == UNREADABLE:
            self.bearer.core.refused(reason or "no frame")
        if not self.bearer.welcomed.is_set() and code in (None, 1000, 1001, 1002, 1005, 1006):
            raise Blocked("a stream ended before the server had said a word")
        if self.is_cut:
            self.is_cut = False
            return
        raise Unanswered(f"the server closed it: {reason or code}" if code else "it broke")

    # Polls

    async def poll(self, seconds: float = float("inf")) -> None:
        """For so long; each request says all that is new here and gets all that is new there."""
        end = time.monotonic() + seconds
        verify = self.context if self.context is not None else True
        trusted = not self.server.is_here
        async with httpx.AsyncClient(verify=verify, trust_env=trusted, timeout=30) as http:
            self.is_polling = True
            self.bearer.opened()
            try:
                while time.monotonic() < end and not self.is_cut:
                    await self.exchange(http)
            except httpx.HTTPError as error:
                raise Unanswered(worded(error)) from None
            finally:
                self.is_cut = self.is_polling = False
                self.bearer.lost()

    async def exchange(self, http: httpx.AsyncClient) -> None:
        core, pulse = self.bearer.core, self.bearer.pulse
        pulse.clear()
        brought = 0
        for frame in core.take() or [core.nothing()]:
            heard = await self.ask(http, frame)
            brought += len(heard.messages)
            self.bearer.heard(heard)
            if self.is_cut or core.is_done:
                self.is_cut = True
                return
        if not brought:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.bearer.poll_every):
                    await pulse.wait()
        await asyncio.sleep(0)

    async def ask(self, http: httpx.AsyncClient, frame: str) -> Frame:
        answer = await http.post(
            f"{self.server.url}{SYNC}",
            content=frame.encode(),
            headers={
                "Authorization": f"Bearer {self.token()}",
                "Content-Type": "application/json",
                "User-Agent": "procession-sdk-python",
            },
        )
        if answer.status_code == 200:
            return read(answer.content)
        if answer.status_code in (401, 403):
            raise self.rejected(answer.status_code)
        if answer.status_code in (413, 422):
            self.bearer.core.refused(detail(answer))
        raise Unanswered(f"the server answers {answer.status_code}: {detail(answer)}")


def detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return "without a word that is understood"


def read(told: str | bytes) -> Frame:
    try:
        return wire.decode(told)
    except wire.BadFrame as error:
        raise Unanswered(f"what the server said cannot be understood: {error}") from None


def worded(error: Exception) -> str:
    return str(error) or type(error).__name__
