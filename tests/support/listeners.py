"""A server of a test's own that remembers what it was asked, and answers as it is told."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[Asked], bytes]


def reply(
    body: bytes | str = b"", status: str = "200 OK", kind: str = "text/plain", **headers: str
) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + data


def as_json(value: object, status: str = "200 OK", **headers: str) -> bytes:
    return reply(json.dumps(value), status, "application/json", **headers)


@dataclass
class Listener:
    """`connections` counts those that came, also ones that never said anything."""

    answer: Reply
    port: int = 0
    connections: int = 0
    asked: list[Asked] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    going_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.asked.append(await read_request(reader))
            self.begun.set()
            if self.holds_back:
                await self.going_on.wait()
            writer.write(self.answer(self.asked[-1]))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    holds_back: bool = False

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


async def read_request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = first.split(" ")
    return Asked(method, target, headers, body)


@asynccontextmanager
async def listening(
    answer: Reply = lambda _: reply("hello"),
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    holds_back: bool = False,
) -> AsyncIterator[Listener]:
    listener = Listener(answer, holds_back=holds_back)
    server = await asyncio.start_server(listener.serve, host, 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        listener.going_on.set()
        server.close()
