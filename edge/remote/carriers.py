"""How frames of workers come in: over a WebSocket that stays, or by calls of HTTP. Both are the
same to those behind them.
"""

from typing import Any, cast

from fastapi import APIRouter, Request, Response, WebSocket
from psycopg import Error
from psycopg_pool import PoolTimeout

from edge import talking
from edge.reading import BadFrame
from edge.remote import polling
from edge.remote.links import Link
from edge.remote.messages import Bye
from edge.remote.office import Office
from edge.talking import deny
from scheduler.api.access import GuardedRoute, bearer
from scheduler.api.documents import problems
from scheduler.api.state import TheCaller
from scheduler.domain.errors import Forbidden, Invalid, Refusal, Unavailable
from scheduler.services import access
from scheduler.services.access import Caller, Role

router = APIRouter(prefix="/workers", tags=["workers"], route_class=GuardedRoute)

PROTOCOL = "procession.worker.1"

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A frame: see docs/worker-protocol.md.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    "responses": {
        "200": {
            "description": "A frame.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
}


def office_of(connection: Request | WebSocket) -> Office:
    return cast("Office", connection.app.state.office)


# By poll.


@router.post("/sync", responses=problems(413, 422, 429), openapi_extra=BODY)
async def sync_worker(request: Request, caller: TheCaller) -> Response:
    """Say all that waits, and hear all that waits: for workers that cannot keep a connection
    open."""
    try:
        office, body = office_of(request), await request.body()
        answer = await polling.sync(office, token_of(caller), body, brings=brings(caller))
    except (BadFrame, UnicodeDecodeError) as error:
        raise Invalid(f"this is no frame: {error}", field="body") from None
    except (Error, PoolTimeout):
        raise Unavailable("the database does not answer") from None
    return Response(answer, media_type="application/json")


def token_of(caller: Caller) -> int:
    assert caller.id is not None, "nobody signs in as a worker"
    return caller.id


def brings(caller: Caller) -> bool:
    """Whether somebody has said that it may bring code, as whoever publishes types does."""
    return caller.scopes is not None and "process-types" in caller.scopes


# By stream.


@router.websocket("/stream")
async def stream_workers(websocket: WebSocket) -> None:
    office = office_of(websocket)
    try:
        caller = await admitted(office, websocket.headers.get("authorization", ""))
    except Refusal as refusal:
        await deny(websocket, refusal)
        return
    except (Error, PoolTimeout):
        await deny(websocket, Unavailable("the database does not answer"))
        return
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    link = Link(token_of(caller), office.beat, brings=brings(caller))
    await Talk(websocket, office, link, caller.name).go_on()


async def admitted(office: Office, header: str) -> Caller:
    token = bearer(header)
    async with office.connection() as conn:
        caller = await access.authenticate(conn, token)
    if caller.role is not Role.WORKER or not caller.reaches("workers"):
        raise Forbidden(
            f"the role {caller.role} is not a worker's",
            remedy="connect with a token of role worker",
        )
    return caller


class Talk(talking.Talk):
    """One connection of a worker."""

    def __init__(self, websocket: WebSocket, office: Office, link: Link, who: str) -> None:
        super().__init__(websocket, link, who=who, per_second=office.settings.frames_per_second)
        self.office, self.link = office, link

    async def take(self, text: str) -> None:
        await self.office.receive(self.link, text)

    def say_bye(self, why: str) -> None:
        self.link.say([Bye(why, fenced=False)])

    def left(self, why: str) -> None:
        self.office.left(self.link, why)
