"""Calls workstations that listen, where they cannot call: what is said then is the same.

Of several servers one calls each: whoever has its lock, as long as the connection lives that has
it. The server shows a token that it has signed for itself, and the workstation proves its key.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, cast

from psycopg import AsyncConnection, Error
from psycopg_pool import PoolTimeout
from starlette.websockets import WebSocketDisconnect, WebSocketState
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from edge import doors, identity, knocking
from edge.agent.backoff import Windows
from edge.doors import STREAM, Unreached
from edge.gateway.carriers import Talk
from edge.gateway.gateway import Gateway
from edge.gateway.streams import Stream
from edge.identity import Grant
from edge.knocking import Caller, Refused
from scheduler.domain.errors import Refusal
from scheduler.loops.pulse import Pulse
from scheduler.services import signing
from scheduler.store import calling, station_access
from scheduler.store.rows import Row

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]

EVERY = 2.0  # seconds between two looks at who is to be called
LASTING = 10.0  # seconds: a call that ended sooner has come to nothing
FENCED = 4409
LASTS = 60.0  # seconds that the server's token for a workstation holds
MISSES = (Unreached, Refused, Refusal, Error, PoolTimeout, ValueError)


class Dialer:
    def __init__(self, gateway: Gateway, pulse: Pulse | None = None) -> None:
        self.gateway, self.pulse = gateway, pulse or Pulse()
        self.calls: dict[int, asyncio.Task[None]] = {}
        self.rows: dict[int, Row] = {}

    async def work(self, conn: Conn) -> None:
        """With the connection its locks end, and its calls with them."""
        try:
            while True:
                await self.look(conn)
                await self.pulse.wait(EVERY)
        finally:
            await self.hang_up(self.calls)

    async def look(self, conn: Conn) -> None:
        found = {row["id"]: row for row in await calling.called(conn)}
        for id, call in list(self.calls.items()):
            if call.done():
                call.result()  # which it never is without a fault of ours
            if found.get(id) != self.rows[id]:  # gone, or elsewhere, or somebody else
                await self.hang_up([id])
                await calling.give_back(conn, id)
        for id, row in found.items():
            if id not in self.calls and await calling.take(conn, id):
                self.rows[id] = row
                name = f"call {row['name']}"
                self.calls[id] = asyncio.create_task(self.call(row), name=name)

    async def hang_up(self, ids: Iterable[int]) -> None:
        ended = [(self.calls.pop(id), self.rows.pop(id))[0] for id in list(ids)]
        for call in ended:
            call.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    async def call(self, row: Row) -> None:
        windows = Windows()
        while True:
            why, began = None, time.monotonic()
            try:
                await self.once(row)
            except MISSES as error:
                why = str(error)[:500]
                log.info("workstation not reached", extra={"workstation": row["name"], "why": why})
            if time.monotonic() - began >= LASTING:
                windows.succeeded(1.0)
            await self.tell(row, why)
            await asyncio.sleep(windows.next(time.monotonic()))

    async def once(self, row: Row) -> None:
        """Until the connection ends."""
        assert self.gateway.pool is not None, "the gateway is not open"
        async with self.gateway.pool.connection() as conn:
            key = await signing.key(conn, self.gateway.keys)
            admitted = await station_access.admitted(conn, row["name"])
        if admitted is None or admitted["id"] != row["id"]:
            return
        server = identity.public(key)
        me, until = identity.at_server(server), time.time() + LASTS
        token = identity.issue(key, Grant(me, row["name"], until, key=server))

        def caller(nonce: str, binding: str) -> Caller:
            return Caller(
                knocking.signer(key),
                me,
                token,
                name=row["name"],
                key=row["public_key"],
                nonce=nonce,
                binding=binding,
            )

        socket, _ = await doors.call(doors.read_address(row["address"]), STREAM, caller)
        await self.tell(row, None)
        try:
            talk = Talk(cast("Any", Called(socket)), self.gateway, Stream(admitted), admitted)
            await talk.go_on()
        finally:
            socket.transport.abort()
        if socket.close_code in (doors.AWAY, FENCED):
            raise Unreached(f"sent away: {socket.close_reason}")

    async def tell(self, row: Row, why: str | None) -> None:
        assert self.gateway.pool is not None
        try:
            async with self.gateway.pool.connection() as conn:
                await calling.tell(conn, row["id"], why)
        except (Error, PoolTimeout):
            pass  # it is said again after the next call


class Called:
    """A socket that we opened, as one that was opened to us."""

    application_state = WebSocketState.CONNECTED

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def receive(self) -> dict[str, Any]:
        try:
            text = await self.socket.recv()
        except ConnectionClosed:
            return {"type": "websocket.disconnect", "code": self.socket.close_code}
        return {"type": "websocket.receive", "text": text if isinstance(text, str) else None}

    async def send_text(self, text: str) -> None:
        try:
            await self.socket.send(text)
        except ConnectionClosed as closed:
            raise WebSocketDisconnect(self.socket.close_code or 1006) from closed

    async def close(self, code: int, why: str) -> None:
        await self.socket.close(code, doors.short(why))
