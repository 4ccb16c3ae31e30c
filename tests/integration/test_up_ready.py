"""`procession up` says ready when its server serves, not when its port is merely taken."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scheduler.up import answers

pytestmark = pytest.mark.anyio


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.setblocking(False)
        yield port


@pytest.mark.parametrize(
    ("answer", "ready"), [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"220 mail here\r\n", False)]
)
async def test_a_port_that_only_listens_is_not_ready(answer: bytes, ready: bool) -> None:
    loop = asyncio.get_running_loop()
    with listening() as port:
        asked = asyncio.create_task(answers(*port.getsockname()))
        knocking, _ = await loop.sock_accept(port)
        with knocking:
            assert (await loop.sock_recv(knocking, 4096)).startswith(b"GET /health/live ")
            assert not asked.done()
            await loop.sock_sendall(knocking, answer)
            assert await asked is ready


async def test_a_server_that_goes_away_before_it_answers_is_not_ready() -> None:
    loop = asyncio.get_running_loop()
    with listening() as port:
        asked = asyncio.create_task(answers(*port.getsockname()))
        knocking, _ = await loop.sock_accept(port)
        knocking.close()
        assert not await asked


async def test_nobody_there_is_not_ready() -> None:
    with listening() as port:
        address = port.getsockname()
    assert not await answers(*address)
