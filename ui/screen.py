"""What every screen has in common: who is let in, and a page for what was refused."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from psycopg import DataError

from scheduler.api.bodies import CarefulRequest, refuse_nul
from scheduler.api.measures import OPERATION
from scheduler.api.problems import AWAY
from scheduler.api.state import ACTOR, server_of
from scheduler.domain.errors import Invalid, NotFound, Refusal, Unauthenticated, Unavailable
from scheduler.store.audit import Actor
from ui import access, forms, frame, looks, session, sharing

log = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
SAFE = frozenset({"GET", "HEAD"})
LOGIN = "/ui/login"


class Screen(APIRoute):
    """Asks the table first, then reads the form, then lets the page go on."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                careful = await guard(request, self.name)
                if is_shared(careful, self.name):
                    person, look = session.person_of(careful), looks.look_of(careful)
                    return await sharing.shared(careful, person, look, handle)
                return await handle(careful)
            except Unauthenticated as error:
                return to_login(request, error)
            except Refusal as error:
                return frame.refused(request, error)
            except RequestValidationError:
                return frame.refused(request, NotFound("there is nothing at this address"))
            except AWAY as error:
                log.warning("database away", extra={"error": str(error).strip()})
                return frame.refused(request, Unavailable("the database cannot be reached"))
            except DataError as error:
                return frame.refused(request, Invalid(f"a value cannot be stored: {error}"))
            except Exception:  # the rim: whoever looks gets a page, and the log says the rest
                log.exception("a page failed", extra={"path": request.url.path})
                return frame.failed(request)

        return guarded


async def guard(request: Request, name: str) -> Request:
    request.scope.get(OPERATION, {})["name"] = name
    refuse_nul(request.scope)
    await admit(request, access.VERDICTS[name])
    careful = CarefulRequest(request.scope, request.receive)
    if request.method not in SAFE:
        await careful.read(server_of(request).settings)
        form = forms.read(request.headers.get("content-type", ""), await careful.body())
        forms.require_own(request, form, secret_of(request))
        request.state.form = form
        name_actor(request, name)
    return careful


def is_shared(request: Request, name: str) -> bool:
    """What an open page asks for again, unless it is somebody's own."""
    is_again = request.state.person is not None and sharing.is_asked_again(request)
    return is_again and name not in access.OWN


async def admit(request: Request, verdict: access.Verdict) -> None:
    request.state.person = None
    live = sharing.live_of(request)
    request.state.heard = live.bell.spoken(live.bell.number)  # before anything of it is read
    if verdict is access.OPEN:
        return
    ask = sharing.present if sharing.is_asked_again(request) else sharing.recognised
    person = request.state.person = await ask(request)
    request.state.caller = person.caller
    access.require_may(person.caller, verdict)


def secret_of(request: Request) -> str | None:
    """What the form's token was made of: who is not signed in has a cookie for the way in."""
    return session.value_of(request) or session.value_of(request, session.ENTRY)


def name_actor(request: Request, name: str) -> None:
    person = request.state.person
    if person is not None:
        caller = person.caller
        ACTOR.set(Actor(caller.name, caller.id, frame.source_of(request), name))


def to_login(request: Request, error: Unauthenticated) -> Response:
    if request.method not in SAFE or "text/event-stream" in request.headers.get("accept", ""):
        return frame.refused(request, error)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    answer = RedirectResponse(f"{LOGIN}?next={quote(here, safe='/')}", 303)
    if session.value_of(request):
        session.drop(answer, request)
    return answer
