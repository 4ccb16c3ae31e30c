"""Links that let somebody in once, within minutes. Of a link's code only the SHA-256 is kept.

A link of a user begins a session of theirs; one of nobody in particular lets the admin of the
machine in, with a token that ends as a session would.
"""

import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Forbidden, NotFound, Unauthenticated
from scheduler.services import access, sessions
from scheduler.services.access import Caller, Role, digest
from scheduler.settings import SignInSettings
from scheduler.store import login_links, tokens, users
from scheduler.store import sessions as stored_sessions

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]
CODE = "pn_login_"
ENTERED = "pn_link_"  # a token that a link was changed for, and not one that somebody made


@dataclass(frozen=True, slots=True)
class Link:
    code: str
    expires_at: datetime

    @property
    def path(self) -> str:
        """The code stands behind the #: no server is ever sent it in an address."""
        return f"/ui/login/link#{self.code}"


async def make(conn: Conn, caller: Caller, settings: SignInSettings, user: str | None) -> Link:
    if not caller.may_all:
        raise Forbidden("only an admin whose token has no scopes lets others in")
    async with conn.transaction():
        owner = None if user is None else await owner_of(conn, user)
        return await made(conn, settings, by=caller.name, user=owner)


async def owner_of(conn: Conn, name: str) -> int:
    found = await users.lock(conn, name)
    if found is None:
        raise NotFound(f"there is no user {name!r}")
    if found["disabled_at"] is not None:
        raise Conflict(f"user {name!r} is disabled: enable it first")
    owner: int = found["id"]
    return owner


async def made(conn: Conn, settings: SignInSettings, *, by: str, user: int | None = None) -> Link:
    code = CODE + secrets.token_urlsafe(32)
    expires_at = await login_links.make(
        conn, digest=digest(code), user=user, by=by, length=settings.login_link
    )
    return Link(code, expires_at)


async def follow(
    conn: Conn, code: str, *, source: str, agent: str, settings: SignInSettings
) -> str:
    """What the browser keeps of whoever comes with this code. Tries are counted by address."""
    key = f"address {sessions.network_of(source)}"
    await sessions.count(conn, key, settings.tries_of_address, settings)
    async with conn.transaction():
        found = await login_links.spend(conn, digest(code.strip()))
        if found is None:
            log.warning("login link refused", extra={"source": source})
            raise Unauthenticated(
                "this link is unknown, used or too old",
                remedy="`procession login-link` makes another",
            )
        if found["user_id"] is None:
            secret = await token_of(conn, found["created_by"], settings)
        else:
            secret = await session_of(conn, found["user_id"], source, agent, settings)
    await stored_sessions.forgive(conn, [key])
    log.info("signed in with a link", extra={"made_by": found["created_by"], "source": source})
    return secret


async def token_of(conn: Conn, by: str, settings: SignInSettings) -> str:
    token, ends = ENTERED + secrets.token_urlsafe(32), datetime.now(UTC) + settings.length
    await access.register(conn, token, f"login link of {by}", Role.ADMIN, ends)
    return token


async def leave(conn: Conn, token: str) -> None:
    """Nobody has it but the browser that signs out."""
    await tokens.revoke_digest(conn, digest(token))


async def session_of(
    conn: Conn, user: int, source: str, agent: str, settings: SignInSettings
) -> str:
    token = f"pn_session_{secrets.token_urlsafe(32)}"
    await stored_sessions.begin(
        conn,
        digest=digest(token),
        user=user,
        source=source,
        agent=sessions.printable(agent)[: sessions.LONGEST_AGENT],
        idle=settings.idle,
        length=settings.length,
    )
    await users.note_login(conn, user)
    return token
