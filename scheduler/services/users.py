"""People: who they are, what they may do, and how they come by a password.

A password is set by its user alone: with a link that an admin made, which is good for once, or with
the password before.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from scheduler.domain.passwords import require_strong
from scheduler.services import passwords, sessions
from scheduler.services.access import Caller, Role, digest, lock_admins
from scheduler.settings import SignInSettings
from scheduler.store import tokens, users
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    name: str
    role: Role
    display_name: str = ""
    email: str | None = None


class Change(TypedDict, total=False):
    """What is left out stays as it is."""

    display_name: str
    email: str | None
    role: Role
    disabled: bool


async def create(conn: Conn, person: Person, *, by: Caller) -> Row:
    require_all(by)
    made = await users.create(
        conn,
        name=person.name,
        display_name=person.display_name,
        email=person.email,
        role=person.role,
        by=by.name,
    )
    if made is None:
        raise Conflict(
            f"there is a user {person.name!r} already",
            field="name",
            remedy="take another name, or change that user",
        )
    return await get(conn, person.name)


async def get(conn: Conn, name: str, only: int | None = None) -> Row:
    """A user; with `only`, any other than this one is as good as none."""
    found = await users.get(conn, name)
    if found is None or only not in (None, found["id"]):
        raise missing(name)
    return found


async def change(conn: Conn, name: str, change: Change, *, by: Caller) -> Row:
    """Somebody else's role or none: sessions end. Disabled: tokens and links are over for good."""
    require_all(by)
    async with conn.transaction():
        await lock_admins(conn)
        before = await locked(conn, name)
        after = merged(before, change)
        if was_admin(before) and not (after["role"] is Role.ADMIN and not after["disabled"]):
            await require_other_admin(conn, before)
        await users.change(conn, before["id"], **after)
        if after["disabled"]:
            await shut_out(conn, before["id"])
        elif after["role"] != before["role"]:
            await sessions.end_all(conn, before["id"])
    return await get(conn, name)


def merged(before: Row, change: Change) -> Any:
    kept = {
        "display_name": before["display_name"],
        "email": before["email"],
        "role": Role(before["role"]),
        "disabled": before["disabled_at"] is not None,
    }
    return {**kept, **change}


async def delete(conn: Conn, name: str, *, by: Caller) -> None:
    """Tokens, sessions and the password go with the user; history and audit keep the name."""
    require_all(by)
    async with conn.transaction():
        await lock_admins(conn)
        found = await locked(conn, name)
        if was_admin(found):
            await require_other_admin(conn, found)
        await shut_out(conn, found["id"])
        await users.delete(conn, found["id"])


async def shut_out(conn: Conn, user: int) -> None:
    await tokens.revoke_of_user(conn, user)
    await sessions.end_all(conn, user)
    await users.drop_links(conn, user)


async def make_link(
    conn: Conn, name: str, *, by: Caller, length: timedelta
) -> tuple[str, datetime]:
    """What its user may set a password with, once, and until when. The link before is void."""
    require_all(by)
    token = f"pn_password_{secrets.token_urlsafe(32)}"
    expires_at = datetime.now(UTC) + length
    async with conn.transaction():
        found = await locked(conn, name)
        if found["disabled_at"] is not None:
            raise Conflict(f"user {name!r} is disabled: enable it first")
        await users.link(conn, found["id"], digest=digest(token), expires_at=expires_at, by=by.name)
    return token, expires_at


async def set_by_link(conn: Conn, token: str, password: str) -> str:
    """Set a password with a link; the name of its user. Of two who come at once one succeeds."""
    found = await users.linked(conn, digest(token))
    if found is None:
        raise spent()
    require_strong(password, found["name"])
    hash = await passwords.hashed(password)
    async with conn.transaction():
        user = await locked(conn, found["name"])
        spent_now = await users.spend_link(conn, user["id"], digest(token))
        if not spent_now or user["disabled_at"] is not None:
            raise spent()
        await put_password(conn, user["id"], hash)
    name: str = found["name"]
    return name


def spent() -> Forbidden:
    return Forbidden(
        "this link is unknown, used or too old",
        field="token",
        remedy="ask an admin for a new one",
    )


async def change_password(
    conn: Conn,
    name: str,
    old: str,
    new: str,
    *,
    by: Caller,
    source: str,
    settings: SignInSettings,
    session: int | None = None,
) -> None:
    """By the user, who knows the old one. All sessions end but for the one it is asked in."""
    found = await get(conn, name, by.only)
    if found["id"] != by.user:
        raise Forbidden(
            f"only {name} may do this", remedy="make a link, with which they can set a password"
        )
    if old == new:
        raise Invalid("this is the old password", field="password", remedy="take another one")
    require_strong(new, name)
    if found["password_set_at"] is None:
        raise Conflict(f"{name} has no password yet: ask an admin for a link to set one")
    proof = await proven(conn, name, old, source=source, settings=settings)
    hash = await passwords.hashed(new)
    async with conn.transaction():
        await locked(conn, name)
        if await users.password(conn, name) != proof:
            raise Conflict("the password was changed at the same time: ask again")
        await put_password(conn, found["id"], hash, except_for=session)


async def proven(conn: Conn, name: str, old: str, *, source: str, settings: SignInSettings) -> Row:
    try:
        return await sessions.proven(conn, name, old, source=source, settings=settings)
    except Unauthenticated as error:
        raise Forbidden("the old password is wrong", field="old") from error


async def put_password(conn: Conn, user: int, hash: str, *, except_for: int | None = None) -> None:
    await users.set_password(conn, user, hash)
    await users.note_password(conn, user)
    await users.drop_links(conn, user)
    await sessions.end_all(conn, user, except_for=except_for)


async def locked(conn: Conn, name: str) -> Row:
    found = await users.lock(conn, name)
    if found is None:
        raise missing(name)
    return found


def missing(name: str) -> NotFound:
    return NotFound(f"there is no user {name!r}: `procession users` lists them")


def was_admin(user: Row) -> bool:
    return user["role"] == Role.ADMIN and user["disabled_at"] is None


async def require_other_admin(conn: Conn, user: Row) -> None:
    if not await tokens.has_other_admin(conn, user=user["id"]):
        raise Conflict(
            f"{user['name']} is the last admin: make another one first, "
            "a user with a password or a token that does not expire"
        )


def require_all(caller: Caller) -> None:
    """A token that reaches parts of the API alone must not make somebody who reaches all."""
    if not caller.may_all:
        raise Forbidden(
            "users are made and changed by admins without scopes alone",
            remedy="ask with a token of role admin that has no scopes",
        )
