"""Who sits before the screen: a cookie that holds a session's token, or an API token.

The cookie is out of reach of scripts, and `__Host-` where the connection is encrypted. An API token
stays as good as it is: revoked or expired it lets nobody in, here as elsewhere.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from fastapi import Request, Response

from scheduler.api.state import server_of
from scheduler.domain.errors import Unauthenticated
from scheduler.services import sessions
from scheduler.services.access import Caller

NAME, ENTRY = "procession", "procession-entry"
SESSION = "pn_session_"
MAC = 32


@dataclass(frozen=True, slots=True)
class Person:
    caller: Caller
    shown: str
    secret: str  # what the cookie holds
    session: int | None  # None for somebody with an API token
    seconds_left: float = 12 * 3600.0  # unless they do something


def name_of(request: Request, name: str) -> str:
    return f"__Host-{name}" if request.url.scheme == "https" else name


def value_of(request: Request, name: str = NAME) -> str | None:
    return request.cookies.get(name_of(request, name))


def keep(
    response: Response, request: Request, value: str, *, name: str = NAME, seconds: int
) -> None:
    response.set_cookie(
        name_of(request, name),
        value,
        max_age=seconds,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def drop(response: Response, request: Request, name: str = NAME) -> None:
    keep(response, request, "", name=name, seconds=0)


async def authenticate(request: Request) -> Person:
    """Asked anew for every request, so that who is signed out is out at once."""
    secret = value_of(request)
    if not secret:
        raise Unauthenticated("nobody is signed in")
    if not secret.startswith(SESSION):
        caller = await server_of(request).callers.ask(secret)
        return Person(caller, caller.name, secret, None)
    return await signed_in(request, secret)


async def signed_in(request: Request, secret: str) -> Person:
    server = server_of(request)
    async with server.connection() as conn:
        found = await sessions.find(conn, secret, server.settings.sign_in)
    if found is None:
        raise Unauthenticated("your session has ended")
    left = (found.expires_at - datetime.now(UTC)).total_seconds()
    return Person(found.caller, found.display_name or found.name, secret, found.id, left)


def person_of(request: Request) -> Person:
    return cast("Person", request.state.person)


def new_entry() -> str:
    """What stands for somebody who has not signed in yet."""
    return secrets.token_urlsafe(24)


# A form's token tells our forms from others'; nothing of the secret can be read off it. It is
# masked anew each time that it is written, so that no length of a compressed page tells of it.


def form_token(secret: str) -> str:
    pad = secrets.token_bytes(MAC)
    return base64.urlsafe_b64encode(pad + masked(pad, proof(secret))).decode()


def is_form_token(secret: str, given: str) -> bool:
    try:
        told = base64.urlsafe_b64decode(given)
    except ValueError:
        return False
    is_whole = len(told) == 2 * MAC
    return is_whole and hmac.compare_digest(masked(told[:MAC], told[MAC:]), proof(secret))


def proof(secret: str) -> bytes:
    return hmac.new(secret.encode(), b"procession form", hashlib.sha256).digest()


def masked(pad: bytes, value: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(pad, value, strict=True))
