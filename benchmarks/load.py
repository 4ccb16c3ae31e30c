"""Requests over connections that stay open, from a process of its own: as light as Python can be.

`python -m benchmarks.load` reads what to do as JSON on its standard input (a token belongs in no
command line), and prints as JSON what it saw. Each connection asks again when it was answered.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

NUMBER = "{number}"  # in a request: one that no other request has
END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    host: str
    port: int
    requests: Sequence[str]  # whole ones; asked in turns
    connections: int
    seconds: float
    most: int | None = None  # requests, if that is less


@dataclass(slots=True)
class Seen:
    took: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)


class Asker(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, ours: "Asking") -> None:
        self.ours = ours
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer = bytearray()
        self._whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self._answer.clear()
        self._whole = 0
        self._asked = time.perf_counter()
        self.transport.write(self.ours.next())

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._whole and (end := self._answer.find(END_OF_HEAD)) >= 0:
            self._whole = end + len(END_OF_HEAD) + length(bytes(self._answer[:end]))
        if self._whole and len(self._answer) >= self._whole:
            self.answered()

    def answered(self) -> None:
        now = time.perf_counter()
        self.ours.seen.took.append(now - self._asked)
        self.ours.seen.statuses[self._answer[9:12].decode()] += 1
        if self.ours.go_on(now):
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def length(head: bytes) -> int:
    at = head.lower().find(LENGTH)
    return int(head[at + len(LENGTH) :].split(b"\r", 1)[0]) if at >= 0 else 0


class Asking:
    """What all connections share: whose turn it is, and when it is over."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.seen = Seen()
        self._numbers = count()
        self._encoded = [request.encode() for request in load.requests]
        self._numbered = any(NUMBER in request for request in load.requests)
        self._end = time.perf_counter() + load.seconds
        self._unique = f"{time.time_ns()}-"

    def next(self) -> bytes:
        number = next(self._numbers)
        request = self._encoded[number % len(self._encoded)]
        if not self._numbered:
            return request
        return request.replace(NUMBER.encode(), f"{self._unique}{number:09}".encode())

    def go_on(self, now: float) -> bool:
        most = self.load.most
        return now < self._end and (most is None or len(self.seen.took) < most)

    async def carry_out(self) -> Figures:
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        made = [
            await loop.create_connection(lambda: Asker(self), self.load.host, self.load.port)
            for _ in range(self.load.connections)
        ]
        await asyncio.gather(*(asker.ended for _, asker in made))
        return {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time(),
            "took": self.seen.took,
            "statuses": dict(self.seen.statuses),
        }


async def apply(load: Load) -> Figures:
    """Carry out a load in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate(json.dumps(asdict(load)).encode())
    if process.returncode:
        raise RuntimeError(f"the clients ended with {process.returncode}")
    figures: Figures = json.loads(told)
    return figures


def request(
    method: str, path: str, *, token: str | None = None, body: Any = None, **headers: str
) -> str:
    content = "" if body is None else json.dumps(body)
    given = {"Host": "server", **headers}
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    if body is not None:
        given |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join(lines) + "\r\n\r\n" + content


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Asking(Load(**json.load(sys.stdin))).carry_out())))
