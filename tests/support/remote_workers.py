"""A worker that speaks as docs/worker-protocol.md says, and does what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from edge.remote import wire
from edge.remote.messages import (
    Bye,
    Ended,
    Ending,
    Error,
    Frame,
    Have,
    Hello,
    Lease,
    Offer,
    Welcome,
)
from scheduler.services.access import Role, create_token, new_token, register
from tests.support.gateways import Served
from tests.support.waiting import until

T = TypeVar("T")
PROTOCOL = Subprotocol("procession.worker.1")


async def a_token(served: Served, role: Role = Role.WORKER, *scopes: str) -> str:
    if not scopes:
        return await create_token(served.conn, f"{role} {uuid4()}", role)
    token = new_token(role)
    await register(served.conn, token, f"{role} {uuid4()}", role, scopes=scopes)
    return token


@dataclass
class Mate:
    """A worker, and all that it was told."""

    served: Served
    token: str
    actions: Sequence[str]
    name: str = "mate"
    slots: int = 4
    session: str = field(default_factory=lambda: str(uuid4()))
    heard: list[Any] = field(default_factory=list)
    running: dict[str, Offer] = field(default_factory=dict)  # in hand; ended, until it is known
    workflows: Sequence[Any] = ()
    socket: ClientConnection | None = None
    closed: tuple[int, str] | None = None

    # Words.

    def hello(self) -> Hello:
        return Hello(
            1,
            1,
            self.name,
            self.slots,
            tuple(self.actions),
            tuple(self.workflows),
            tuple(self.running),
            "mate 1",
            host="bench",
            pid=7,
        )

    def lease(self) -> Lease:
        return Lease(tuple(self.running))

    def took(self, messages: Sequence[Any]) -> None:
        for each in messages:
            match each:
                case Offer(attempt):
                    self.running[attempt] = each
                case Have(attempts):
                    for attempt in attempts:
                        self.running.pop(attempt, None)
                case Welcome(forget=attempts):
                    for attempt in attempts:
                        self.running.pop(attempt, None)
        self.heard += messages

    def of(self, kind: type[T]) -> list[T]:
        return [each for each in self.heard if isinstance(each, kind)]

    # By stream.

    @asynccontextmanager
    async def line(self, *, greet: bool = True) -> AsyncIterator["Mate"]:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.served.url}/api/v1/workers/stream".replace("http", "ws", 1)
        async with connect(
            url, additional_headers=headers, subprotocols=[PROTOCOL], compression=None
        ) as self.socket:
            self.closed = None
            listening = asyncio.create_task(self.listen(self.socket))
            try:
                if greet:
                    before = len(self.of(Welcome)) + len(self.of(Bye))
                    await self.say(self.hello())
                    await until(
                        lambda: self.closed or len(self.of(Welcome)) + len(self.of(Bye)) > before
                    )
                yield self
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening

    async def listen(self, socket: ClientConnection) -> None:
        """Whatever ends it is seen: nobody would wait for an answer that is not taken any more."""
        try:
            with suppress(ConnectionClosed):
                async for text in socket:
                    self.took(wire.decode(text, wire.SERVERS).messages)
        finally:
            self.closed = socket.close_code or 1006, socket.close_reason or ""

    async def say(self, *messages: Any) -> None:
        assert self.socket is not None
        await self.socket.send(wire.encode(Frame(self.session, messages)))

    def cut(self) -> None:
        """The connection breaks without a word."""
        assert self.socket is not None
        self.socket.transport.abort()

    # By poll.

    async def poll(self, *messages: Any) -> list[Any]:
        frame = wire.encode(Frame(self.session, messages))
        answer = await self.ask(frame)
        assert answer.status_code == 200, answer.text
        told = wire.decode(answer.text, wire.SERVERS)
        assert told.session == self.session
        self.took(told.messages)
        return list(told.messages)

    async def ask(self, text: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(timeout=30) as client:
            url = f"{self.served.url}/api/v1/workers/sync"
            return await client.post(url, content=text, headers=headers)

    # What tests wait for.

    async def has(self, count: int = 1) -> list[Offer]:
        """That many in hand."""
        await until(lambda: len(self.running) >= count)
        return list(self.running.values())

    async def until(self, condition: Callable[[], T | None]) -> T:
        return await until(condition)

    async def end(self, offer: Offer, output: Any = None) -> None:
        await self.say(Ended(offer.attempt, Ending.SUCCEEDED, output))

    async def fail(
        self, offer: Offer, type: str, message: str = "", *, retryable: bool | None = None
    ) -> None:
        error = Error(type, message, f"{type} at line 1")
        await self.say(Ended(offer.attempt, Ending.FAILED, None, error, retryable))


async def publish(served: Served, text: str) -> None:
    answer = await served.api.post(
        "/process-types", content=text, headers={"Content-Type": "application/yaml"}
    )
    assert answer.status_code == 200, answer.text


async def start(served: Served, type: str, **body: Any) -> str:
    answer = await served.api.post("/runs", json={"type": type, **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])
