"""`Idempotency-Key`: a POST that is sent again is answered as it was before.

Starts of runs have a way of their own, which lets many begin in one transaction: see
services/starts.py.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from psycopg import AsyncConnection

from scheduler.domain.errors import Invalid
from scheduler.services import answers
from scheduler.services.answers import Answer, Question

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEY = re.compile(r"[\x21-\x7e]{1,255}")
# Of answers that hold what nobody is to see again the body is not kept.
SHOWN_ONCE = frozenset(
    {"create_token", "make_password_link", "make_login_link", "invite_workstation"}
)
# They do a part at a time and go on where they were, so a key would only make one long transaction.
REPEATABLE = frozenset(
    {
        "redrive_dead_letter_selection",
        "discard_dead_letter_selection",
        "rotate_secret_keys",
        "enrol_workstation",  # asked again by the same machine, it is answered the same
        "make_workstation_nonce",
        "make_workstation_token",
        "rotate_workstation_key",
        "grant_workstation_peer",
        "sync_workstation",  # what is said twice counts once by itself
    }
)
TOLD_AGAIN = ("content-type", "location", "etag")

# The connection of a request with a key: all that it does is in one transaction.
HELD: ContextVar[AsyncConnection[Any] | None] = ContextVar("held", default=None)

Handle = Callable[[Request], Awaitable[Response]]


def takes_key(route: APIRoute) -> bool:
    """Whether keys of this route are looked after here."""
    return "POST" in (route.methods or ()) and not (route.name in REPEATABLE or has_own_key(route))


def has_own_key(route: APIRoute) -> bool:
    return any(each.alias == HEADER for each in route.dependant.header_params)


def key_of(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not KEY.fullmatch(key):
        raise Invalid(
            "an idempotency key is 1 to 255 visible characters of ASCII",
            field=f"header.{HEADER}",
            remedy="take a UUID",
        )
    return key


def question_of(request: Request, body: bytes, token: int, key: str) -> Question:
    """Signed with the token: what a body says cannot be guessed from what is stored."""
    said = [request.method, request.url.path, request.url.query]
    said.append(request.headers.get("content-type", ""))
    text = "\0".join(said).encode() + b"\0" + body
    secret = request.headers.get("authorization", "").encode()
    return Question(token, key, hmac.digest(secret, text, "sha256"))


async def answered(request: Request, name: str, key: str, handle: Handle) -> Response:
    """What was answered to this key before, or what `handle` answers now."""
    caller = getattr(request.state, "caller", None)
    if caller is None or caller.id is None:
        return await handle(request)  # keys are each token's own, and there is none
    question = question_of(request, await request.body(), caller.id, key)
    first: list[Response] = []

    async def find() -> Answer:
        response = await handle(request)
        first.append(response)
        body = None if name in SHOWN_ONCE else bytes(response.body)
        return Answer(response.status_code, kept(response.headers), body)

    async with request.app.state.server.connection() as conn:
        held = HELD.set(conn)
        try:
            answer = await answers.once(conn, question, find)
        finally:
            HELD.reset(held)
    return again(answer) if answer.replayed else first[0]


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in TOLD_AGAIN if name in headers}


def again(answer: Answer) -> Response:
    headers = {**answer.headers, REPLAYED: "true"}
    if answer.status == 204:
        return Response(status_code=204, headers=headers)
    return Response(answer.body, answer.status, headers)
