"""Who is signed in. Of a session's token only the SHA-256 is kept, as of any token.

Whoever tries to sign in learns the same, after the same time, whether the name or the password was
wrong. Tries are counted in the database before a password is looked at, by name and by address: a
thousand at once, on any number of servers, get no further than five. A user is counted apart where
they were signed in before, so that nobody elsewhere can lock them out.
"""

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errors import NotFound, TooMany, Unauthenticated
from scheduler.services import passwords
from scheduler.services.access import Caller, Role, digest
from scheduler.settings import SignInSettings
from scheduler.store import sessions, users
from scheduler.store.rows import Row

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]
LONGEST_NAME = 63
LONGEST_AGENT = 300


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in."""

    id: int
    user: int
    name: str
    display_name: str
    role: Role
    source: str
    created_at: datetime
    expires_at: datetime  # unless something is asked before
    ends_at: datetime

    @property
    def caller(self) -> Caller:
        return Caller(None, self.name, self.role, None, self.user)


async def begin(
    conn: Conn, name: str, password: str, *, source: str, agent: str, settings: SignInSettings
) -> str:
    """Sign somebody in: the token of a new session, in clear text.

    Raises `Unauthenticated`, or `TooMany` without a look at the password.
    """
    name = name.strip().lower()[:LONGEST_NAME]
    user = await proven(conn, name, password, source=source, settings=settings)
    token = f"pn_session_{secrets.token_urlsafe(32)}"
    async with conn.transaction():
        # Who was disabled, or got another password, since the look at this one stays outside.
        if await users.lock(conn, name) is None or await users.password(conn, name) != user:
            raise wrong()
        await sessions.begin(
            conn,
            digest=digest(token),
            user=user["id"],
            source=source,
            agent=printable(agent)[:LONGEST_AGENT],
            idle=settings.idle,
            length=settings.length,
        )
        await users.note_login(conn, user["id"])
    log.info("signed in", extra={"user": name, "source": source})
    return token


async def proven(
    conn: Conn, name: str, password: str, *, source: str, settings: SignInSettings
) -> Row:
    """The user of this name, if that is the password; counted as a try otherwise."""
    keys = await counted(conn, name, source, settings)
    user = await users.password(conn, name)
    right = await passwords.fits(password, user["hash"] if user else None)
    if user is None or not right:
        log.warning("sign-in refused", extra={"user": printable(name), "source": source})
        raise wrong()
    await sessions.forget_tries(conn, keys[1])
    await sessions.forgive(conn, keys[:1])
    return user


async def counted(conn: Conn, name: str, source: str, settings: SignInSettings) -> tuple[str, str]:
    by_address = f"address {network_of(source)}"
    await count(conn, by_address, settings.tries_of_address, settings)
    known = await sessions.knows(conn, name, source)
    by_name = f"name {name} from {source}" if known else f"name {name}"
    await count(conn, by_name, settings.tries, settings)
    return by_address, by_name


async def count(conn: Conn, key: str, most: int, settings: SignInSettings) -> None:
    found = await sessions.try_(conn, key, settings.window)
    if found["tries"] > most:
        raise TooMany("too many tries to sign in", seconds=max(1, found["seconds"]))


async def find(conn: Conn, token: str, settings: SignInSettings) -> Session | None:
    """Who has this token. Being found puts the end of the session off, to the minute."""
    row = await sessions.find(conn, digest(token))
    if row is None:
        return None
    if not row["fresh"]:
        await sessions.seen(conn, row["id"], settings.idle)
    return Session(
        id=row["id"],
        user=row["user_id"],
        name=row["name"],
        display_name=row["display_name"],
        role=Role(row["role"]),
        source=row["source"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        ends_at=row["ends_at"],
    )


async def end(conn: Conn, session: int, *, of: int | None = None) -> None:
    """End a session; with `of`, only if it is this user's. Ended already is ended."""
    if not await sessions.end(conn, session, of):
        raise NotFound(f"there is no session {session}")


async def end_all(conn: Conn, user: int, *, except_for: int | None = None) -> int:
    """End all sessions of a user, but for one perhaps; how many there were."""
    return await sessions.end_all(conn, user, except_for)


def wrong() -> Unauthenticated:
    return Unauthenticated("no user has this name and this password")


def network_of(source: str) -> str:
    """Whoever has an address of version 6 has 2^64 of them."""
    try:
        address = ip_address(source)
    except ValueError:
        return source[:100]
    if isinstance(address, IPv6Address):
        return str(ip_network(f"{address}/64", strict=False))
    return str(address)


def printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
