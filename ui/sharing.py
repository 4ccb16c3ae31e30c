"""What many look at is read and drawn once.

An open page asks for its live parts again when it was told a number by the bell (ui/bell.py). An
answer begun at that number or later shows all that was told, so it goes to everybody who asks for
the same address with the same rights, zone and look; whoever comes while it is under way waits for
it. It is made for nobody: no name, no cookie and no form's token reaches the
page that draws it, so nothing of one person can come to another. Pages put their own token in.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from scheduler.api.live import Hub
from scheduler.domain.errors import Invalid
from scheduler.services.access import Caller
from ui import session
from ui.bell import Bell
from ui.looks import Look
from ui.presence import Presence
from ui.session import Person

MOST = 64  # answers that are kept at a time
HEADER = "x-live"
PASSED_ON = frozenset({b"host", b"accept"})

Key = tuple[object, ...]
Make = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Flight:
    number: int
    answer: "asyncio.Future[Response]"


class Flights:
    """Answers under way, and the latest that arrived."""

    def __init__(self) -> None:
        self._flights: OrderedDict[Key, Flight] = OrderedDict()

    async def join(
        self, key: Key, least: int, now: int, make: Callable[[], Awaitable[Response]]
    ) -> Response:
        """An answer begun at `least` or later; `now` is where the bell stands."""
        while True:
            flight = self._flights.get(key)
            if flight is None or flight.number < least or flight.answer.cancelled():
                return await self._fly(key, now, make)
            done, _ = await asyncio.wait([flight.answer])
            if not done or flight.answer.cancelled():
                continue  # whoever made it has left
            return flight.answer.result()

    async def _fly(self, key: Key, now: int, make: Callable[[], Awaitable[Response]]) -> Response:
        flight = Flight(now, asyncio.get_running_loop().create_future())
        self._flights[key] = flight
        self._flights.move_to_end(key)
        while len(self._flights) > MOST:
            self._flights.popitem(last=False)
        try:
            answer = await make()
        except Exception as error:
            self._drop(key, flight)
            flight.answer.set_exception(error)
            flight.answer.exception()  # seen, whether or not somebody waits for it
            raise
        except BaseException:
            self._drop(key, flight)
            flight.answer.cancel()
            raise
        flight.answer.set_result(answer)
        if answer.status_code != 200:
            self._drop(key, flight)
        return answer

    def _drop(self, key: Key, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class Live:
    """What the open pages of one server have in common."""

    def __init__(self, hub: Hub) -> None:
        self.bell = Bell(hub)
        self.presence = Presence(hub)
        self.flights = Flights()


def live_of(request: Request) -> Live:
    return cast("Live", request.app.state.live)


def is_asked_again(request: Request) -> bool:
    """Whether an open page asks for its live parts, not somebody for a page."""
    return request.method == "GET" and HEADER in request.headers


async def present(request: Request) -> Person:
    """Whoever asks: remembered from a moment ago, or looked up."""
    known = live_of(request).presence.find(session.value_of(request) or "")
    return known or await recognised(request)


async def recognised(request: Request) -> Person:
    """Whoever asks, as the database knows them now."""
    presence = live_of(request).presence
    asked_at = presence.forgotten
    person = await session.authenticate(request)
    presence.keep(person, asked_at=asked_at)
    return person


async def shared(request: Request, person: Person, look: Look, make: Make) -> Response:
    """The live parts of a page, drawn once for all who look at the same."""
    live = live_of(request)
    least = live.bell.heard(request.headers[HEADER]) or live.bell.number + 1

    async def fly() -> Response:
        answer = await make(faceless(request, person, look))
        if isinstance(answer, StreamingResponse):
            raise Invalid("this is no page, and has no live parts")
        return answer

    answer = await live.flights.join(key_of(request, person, look), least, live.bell.number, fly)
    return copy_of(answer)


def key_of(request: Request, person: Person, look: Look) -> Key:
    caller = person.caller
    rights = (caller.role, caller.scopes)
    scope, host = request.scope, request.headers.get("host", "")
    where = (scope["scheme"], host, scope["path"], scope["query_string"])
    return (*where, *rights, look.theme, look.zone)


def faceless(request: Request, person: Person, look: Look) -> Request:
    """The same request by nobody in particular, with the same rights."""
    headers = [pair for pair in request.scope["headers"] if pair[0] in PASSED_ON]
    cookie = f"theme={look.theme}; zone={look.zone.replace('/', ':')}"
    headers += [(b"cookie", cookie.encode("latin-1")), (HEADER.encode(), b"1")]
    scope = {**request.scope, "headers": headers, "state": dict(request.scope.get("state", {}))}
    bare = Request(scope, request.receive)
    caller = Caller(None, "", person.caller.role, person.caller.scopes)
    bare.state.person = Person(caller, "", "", None)
    bare.state.caller = caller
    return bare


def copy_of(answer: Response) -> Response:
    """The same answer once more: whoever sends one may write into its headers."""
    made = Response(answer.body, answer.status_code)
    made.raw_headers = list(answer.raw_headers)
    return made
