"""How frames come in: over a WebSocket that stays, or by one call of HTTP that says all and hears
all. Both are the same to those behind them.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Request, Response, WebSocket
from psycopg import DataError, Error
from psycopg_pool import PoolTimeout
from starlette.websockets import WebSocketDisconnect, WebSocketState

from edge import wire
from edge.gateway.frames import Shut
from edge.gateway.gateway import Gateway
from edge.gateway.rates import Rate
from edge.gateway.streams import Stream
from edge.messages import Bye
from edge.wire import BadFrame
from scheduler.api.access import GuardedRoute, bearer, workstation_of
from scheduler.api.documents import problems
from scheduler.domain.errors import Invalid, Refusal, TooMany, Unauthenticated, Unavailable
from scheduler.domain.names import TYPE_NAME
from scheduler.services import workstations
from scheduler.store.rows import Row

log = logging.getLogger(__name__)

router = APIRouter(prefix="/workstations", tags=["workstations"], route_class=GuardedRoute)

PROTOCOL = "procession.1"
HELLO_WITHIN = 15.0  # seconds: who has nothing to say is not kept
SENT_WITHIN = 30.0
BAD, REVOKED, BYE, SLOW, FAST, AWAY = 4400, 4401, 4406, 4408, 4429, 1013

Name = Annotated[str, Path(alias="workstation", max_length=63, examples=["saw-1"])]


def gateway_of(connection: Request | WebSocket) -> Gateway:
    return cast("Gateway", connection.app.state.gateway)


async def admitted(gateway: Gateway, name: str, header: str) -> Row:
    if not TYPE_NAME.fullmatch(name):
        raise Unauthenticated("this is no token of a workstation")
    token = bearer(header)
    if gateway.pool is None:
        raise Unavailable("the server is starting or stopping")
    async with gateway.pool.connection() as conn:
        return await workstations.authenticated(conn, gateway.keys, token, name)


# By poll.

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A frame: see docs/workstation-protocol.md.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    "responses": {
        "200": {
            "description": "A frame.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
}


@router.post("/{workstation}/sync", responses=problems(401, 413, 422, 429), openapi_extra=BODY)
async def sync_workstation(workstation: Name, request: Request) -> Response:
    """Say all that waits, and hear all that waits: for workstations that cannot keep a connection
    open."""
    gateway, row = gateway_of(request), workstation_of(request)
    if not gateway.rates.is_kept(workstation, gateway.settings.frames_per_second):
        raise TooMany("this workstation speaks too often", seconds=1)
    try:
        frame = wire.decode(await request.body())
    except (BadFrame, UnicodeDecodeError) as error:
        raise Invalid(f"this is no frame: {error}", field="body") from None
    answer = await gateway.sync(row, frame)
    return Response(wire.encode(answer), media_type="application/json")


# By stream.


@router.websocket("/{workstation}/stream")
async def stream_workstation(websocket: WebSocket, workstation: str) -> None:
    gateway = gateway_of(websocket)
    try:
        row = await admitted(gateway, workstation, websocket.headers.get("authorization", ""))
    except Refusal as refusal:
        await deny(websocket, refusal)
        return
    except (Error, PoolTimeout):
        await deny(websocket, Unavailable("the database does not answer"))
        return
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    await Talk(websocket, gateway, Stream(row), row).go_on()


STATUS = {Unauthenticated: 401, Unavailable: 503}


async def deny(websocket: WebSocket, refusal: Refusal) -> None:
    """Before the connection is one: with a status, and words."""
    status = next((code for kind, code in STATUS.items() if isinstance(refusal, kind)), 403)
    await websocket.send_denial_response(Response(str(refusal), status, media_type="text/plain"))


class Talk:
    """One connection, from its acceptance to its end."""

    def __init__(self, websocket: WebSocket, gateway: Gateway, stream: Stream, row: Row) -> None:
        self.websocket, self.gateway, self.stream, self.row = websocket, gateway, stream, row
        self.rate = Rate(gateway.settings.frames_per_second)
        self.why = "the connection was lost"

    async def go_on(self) -> None:
        hearing = asyncio.create_task(self.hear(), name="hear")
        try:
            await self.speak()
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
            self.gateway.left(self.stream, self.why)

    async def speak(self) -> None:
        """Until it is to be closed. Who takes nothing for so long is not there any more."""
        try:
            while (text := await self.stream.next()) is not None:
                async with asyncio.timeout(SENT_WITHIN):
                    await self.websocket.send_text(text)
            code, self.why = self.stream.why or (1000, "")
            async with asyncio.timeout(SENT_WITHIN):
                await self.end(code)
        except TimeoutError:
            self.why = "it takes nothing of what it is sent"
        except (WebSocketDisconnect, RuntimeError):
            pass  # it is gone

    async def end(self, code: int) -> None:
        if self.websocket.application_state is not WebSocketState.CONNECTED:
            return
        await self.websocket.close(code, self.why[:100])

    async def hear(self) -> None:
        """One frame after the other: what comes meanwhile waits in its connection."""
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                text = await self.next()
            while True:
                await self.take(text)
                if self.stream.why is not None:
                    return
                text = await self.next()
        except WebSocketDisconnect:
            self.stream.close(1000, "the connection was lost")
        except TimeoutError:
            self.refuse(SLOW, f"no hello came within {HELLO_WITHIN:.0f} s")
        except (BadFrame, DataError) as error:
            self.refuse(BAD, str(error))
        except Shut as refusal:
            self.refuse(REVOKED, str(refusal))
        except (Error, PoolTimeout) as error:
            log.warning("frame not heard", extra={"workstation": self.row["name"]}, exc_info=error)
            self.refuse(AWAY, "the database does not answer")
        except Exception:  # the rim: whatever one workstation does harms no other
            log.exception("frame failed", extra={"workstation": self.row["name"]})
            self.refuse(1011, "the server has failed to understand this")

    async def next(self) -> str:
        message = await self.websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1006)
        text: str | None = message.get("text")
        if text is None:
            raise BadFrame("a frame is text")
        return text

    async def take(self, text: str) -> None:
        if not self.rate.is_kept():
            self.refuse(FAST, f"{self.rate.per_second:.0f} frames a second are the most")
            return
        await self.gateway.receive(self.stream, self.row, wire.decode(text))

    def refuse(self, code: int, why: str) -> None:
        """Says why, then ends."""
        self.stream.say(self.stream.session, [Bye(why[:1000])])
        self.stream.close(code, why)
