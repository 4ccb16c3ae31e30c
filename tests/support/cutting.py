"""A way to a server on which streams are cut at any moment."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

STREAM = b"GET /ui/stream"
LIFE = (0.02, 1.2)  # seconds that a stream lives, from its request on


class Cutter:
    def __init__(self, port: int, chance: random.Random) -> None:
        self._port = port
        self._chance = chance
        self.cuts = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                cut = asyncio.Event()
                ways = [
                    group.create_task(self._pass(reader, away, cut)),
                    group.create_task(self._pass(there, writer, cut)),
                    group.create_task(cut.wait()),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
        finally:
            for end in (writer, away):
                end.transport.abort()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if data.startswith(STREAM):
                    asyncio.get_running_loop().call_later(
                        self._chance.uniform(*LIFE), self._cut, cut
                    )
                sink.write(data)
                await sink.drain()

    def _cut(self, cut: asyncio.Event) -> None:
        self.cuts += not cut.is_set()
        cut.set()


@asynccontextmanager
async def cutting(port: int, seed: int) -> AsyncIterator[tuple[str, Cutter]]:
    """Where to ask instead."""
    cutter = Cutter(port, random.Random(seed))
    server = await asyncio.start_server(cutter.carry, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cutter
