"""Frames over a WebSocket, which the server closes when it wants no more of us."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)
from websockets.typing import Subprotocol

from edge import wire
from edge.agent.carriers import Bearer
from edge.agent.home import is_loopback
from edge.agent.tokens import Tokens
from edge.agent.web import Unanswered, Web, worded
from edge.wire import BadFrame

PROTOCOL = Subprotocol("procession.1")
OPENING = 15.0  # seconds
CLOSING = 2.0
REVOKED, FENCED = 4401, 4409


class Blocked(Unanswered):
    """Something answered, and no stream came of it: polls may get through."""


@dataclass
class Stream:
    socket: Connection
    carrier: str = "stream"
    waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    why: str = ""

    def say(self, texts: list[str]) -> None:
        for each in texts:
            self.waiting.put_nowait(each)

    def cut(self, why: str) -> None:
        self.why = self.why or why
        self.socket.transport.abort()


async def dial(web: Web, tokens: Tokens) -> Stream:
    token = await tokens.get()
    scheme = "wss" if web.is_secure else "ws"
    host = f"[{web.host}]" if ":" in web.host else web.host
    path = f"{web.parts.path}/api/v1/workstations/{tokens.name}/stream"
    try:
        socket = await connect(
            f"{scheme}://{host}:{web.port}{path}",
            ssl=web.context(),
            subprotocols=[PROTOCOL],
            additional_headers={"Authorization": f"Bearer {token}"},
            user_agent_header="procession-edge",
            compression=None,
            proxy=None if is_loopback(web.host) else True,
            open_timeout=OPENING,
            close_timeout=CLOSING,
            ping_interval=None,  # both ends say often enough that they live
            max_size=2 * wire.LARGEST,
        )
    except InvalidStatus as refused:
        raise answered(refused.response.status_code, tokens) from None
    except (InvalidHandshake, InvalidProxyStatus, ProxyError, TimeoutError, EOFError) as error:
        raise Blocked(f"no stream gets through: {error or type(error).__name__}") from None
    except OSError as error:
        raise Unanswered(worded(error, web.host)) from None
    return Stream(socket)


def answered(status: int, tokens: Tokens) -> Unanswered:
    if status in (401, 403):
        tokens.forget()
        return Unanswered("the server does not let this workstation in", status)
    return Blocked(f"the server answers {status} to a stream", status)


async def carry(stream: Stream, bearer: Bearer) -> int:
    """Until it ends: with the code that the server closed it with."""
    bearer.opened(stream)
    saying = asyncio.create_task(say(stream))
    try:
        await hear(stream, bearer)
    finally:
        saying.cancel()
        with suppress(asyncio.CancelledError):
            await saying
        stream.socket.transport.abort()
        bearer.lost(stream, stream.why or reason(stream.socket))
    return stream.socket.close_code or 0


async def hear(stream: Stream, bearer: Bearer) -> None:
    try:
        async for text in stream.socket:
            bearer.heard(stream, wire.decode(text))
    except BadFrame as error:
        stream.cut(f"what the server said cannot be understood: {error}")
    except (ConnectionClosed, OSError):
        pass


async def say(stream: Stream) -> None:
    with suppress(ConnectionClosed, OSError):
        while True:
            await stream.socket.send(await stream.waiting.get())


def reason(socket: Connection) -> str:
    if socket.close_code in (None, 1006):
        return "the connection broke"
    return f"the server closed it: {socket.close_reason or socket.close_code}"
