"""How frames come in: over a WebSocket that stays, or by one call of HTTP that says all and hears
all. Both are the same to those behind them.
"""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Request, Response, WebSocket
from psycopg import Error
from psycopg_pool import PoolTimeout

from edge import talking, wire
from edge.gateway.gateway import Gateway
from edge.gateway.streams import Stream
from edge.messages import Bye
from edge.talking import deny
from edge.wire import BadFrame
from scheduler.api.access import GuardedRoute, bearer, workstation_of
from scheduler.api.documents import problems
from scheduler.domain.errors import Invalid, Refusal, TooMany, Unauthenticated, Unavailable
from scheduler.domain.names import TYPE_NAME
from scheduler.services import workstations
from scheduler.store.rows import Row

router = APIRouter(prefix="/workstations", tags=["workstations"], route_class=GuardedRoute)

PROTOCOL = "procession.1"

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


class Talk(talking.Talk):
    """One connection of a workstation."""

    def __init__(self, websocket: WebSocket, gateway: Gateway, stream: Stream, row: Row) -> None:
        super().__init__(
            websocket, stream, who=row["name"], per_second=gateway.settings.frames_per_second
        )
        self.gateway, self.stream, self.row = gateway, stream, row

    async def take(self, text: str) -> None:
        await self.gateway.receive(self.stream, self.row, wire.decode(text))

    def say_bye(self, why: str) -> None:
        self.stream.say(self.stream.session, [Bye(why)])

    def left(self, why: str) -> None:
        self.gateway.left(self.stream, why)
