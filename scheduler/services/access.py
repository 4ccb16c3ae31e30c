"""Who may ask: bearer tokens and roles. Of a token, only its SHA-256 is kept."""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from scheduler.store import tokens, users
from scheduler.store.rows import Row
from scheduler.store.tokens import Sight

Conn = AsyncConnection[Any]

TOKEN = re.compile(r"pn_[a-z]+_[A-Za-z0-9_-]{43}")
FILE = "admin.token"
LOCK = 7_301_944_117
SHOWN = 12  # how much of a token people may see again
REMEDY = "send `Authorization: Bearer TOKEN`; the first token lies in the data folder, admin.token"


class Role(StrEnum):
    """Each of the first four may do what those before it may; the others are for machines."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    AUTHOR = "author"
    ADMIN = "admin"
    AGENT = "agent"
    WORKER = "worker"


# The parts of the API, as openapi.yaml tags them.
Scope = Literal[
    "process-types",
    "process-records",
    "runs",
    "tasks",
    "dead-letters",
    "queues",
    "schedules",
    "chores",
    "retention",
    "exports",
    "notifications",
    "approvals",
    "variables",
    "events",
    "triggers",
    "webhooks",
    "workers",
    "workstations",
    "health",
    "tokens",
    "users",
    "documentation",
    "audit",
    "secrets",
    "compatibility",
]
PEOPLE = (Role.VIEWER, Role.OPERATOR, Role.AUTHOR, Role.ADMIN)


def at_least(role: Role) -> frozenset[Role]:
    return frozenset(PEOPLE[PEOPLE.index(role) :])


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a machine by its token, a user by a token of theirs or signed in."""

    id: int | None  # of the token; None for somebody who is signed in
    name: str
    role: Role
    scopes: frozenset[str] | None = None  # the parts of the API; None for all
    user: int | None = None

    def reaches(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes

    @property
    def may_all(self) -> bool:
        return self.role is Role.ADMIN and self.scopes is None

    @property
    def sight(self) -> Sight:
        """Whose tokens this one sees: an admin everybody's, others their own."""
        return Sight(of_all=self.role is Role.ADMIN, user=self.user, token=self.id)

    @property
    def only(self) -> int | None:
        """The user whose affairs this one may see; None for everybody's, 0 for nobody's."""
        return None if self.role is Role.ADMIN else self.user or 0


def new_token(role: Role) -> str:
    return f"pn_{role}_{secrets.token_urlsafe(32)}"


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def create_token(
    conn: Conn, name: str, role: Role, *, expires_at: datetime | None = None
) -> str:
    """The token in clear text: nobody can read it again."""
    token = new_token(role)
    await register(conn, token, name, role, expires_at)
    return token


async def register(
    conn: Conn,
    token: str,
    name: str,
    role: Role,
    expires_at: datetime | None = None,
    *,
    scopes: Sequence[str] | None = None,
    by: str | None = None,
    user: int | None = None,
) -> int:
    return await tokens.create(
        conn,
        name=name,
        prefix=token[:SHOWN],
        digest=digest(token),
        role=role,
        expires_at=expires_at,
        scopes=scopes,
        by=by,
        user=user,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A wish for a token: of a user, or of a machine."""

    name: str
    role: Role
    scopes: Sequence[str] | None = None
    expires_at: datetime | None = None
    user: str | None = None


async def grant(conn: Conn, wish: Grant, *, by: Caller) -> tuple[int, str]:
    """A new token, by its id and in clear text."""
    if wish.expires_at is not None and wish.expires_at <= datetime.now(UTC):
        raise Invalid(f"{wish.expires_at:%Y-%m-%d %H:%M:%S %Z} is over already", field="expires_at")
    require_within(by, wish.scopes)
    token = new_token(wish.role)
    async with conn.transaction():
        owner = None if wish.user is None else await owner_of(conn, wish)
        made = await register(
            conn,
            token,
            wish.name,
            wish.role,
            wish.expires_at,
            scopes=wish.scopes,
            by=by.name,
            user=owner,
        )
    return made, token


def require_within(caller: Caller, scopes: Sequence[str] | None) -> None:
    """Nobody gives what they do not have."""
    if caller.scopes is None:
        return
    if scopes is None or not caller.scopes.issuperset(scopes):
        raise Forbidden(
            "a token with scopes makes tokens within these alone",
            field="scopes",
            remedy="leave out all but " + ", ".join(sorted(caller.scopes)),
        )


async def owner_of(conn: Conn, wish: Grant) -> int:
    found = await users.lock(conn, wish.user or "")
    if found is None:
        raise Invalid(f"there is no user {wish.user!r}", field="user")
    if found["disabled_at"] is not None:
        raise Conflict(f"user {wish.user!r} is disabled: enable it first", field="user")
    if wish.role not in PEOPLE or wish.role not in upto(Role(found["role"])):
        raise Invalid(
            f"user {wish.user!r} is {found['role']}, so a token of role {wish.role} is beyond it",
            field="role",
            remedy="take one of " + ", ".join(upto(Role(found["role"]))),
        )
    owner: int = found["id"]
    return owner


def upto(role: Role) -> tuple[Role, ...]:
    return PEOPLE[: PEOPLE.index(role) + 1]


async def get(conn: Conn, token: int, sight: Sight) -> Row:
    """A token that this caller may see; any other is as good as none."""
    found = await tokens.get(conn, token, sight)
    if found is None:
        raise NotFound(f"there is no token {token}")
    return found


async def revoke(conn: Conn, token: int, sight: Sight) -> Row:
    """Revoked already is revoked; the last admin stays, or nobody could make another."""
    async with conn.transaction():
        await lock_admins(conn)
        found = await get(conn, token, sight)
        if found["role"] == Role.ADMIN and not await tokens.has_other_admin(conn, token=token):
            raise Conflict(
                "this is the last admin token that does not expire: make another one first"
            )
        await tokens.revoke(conn, token)
    return await get(conn, token, sight)


async def lock_admins(conn: Conn) -> None:
    """Of two who take the last admins away, one waits and sees what the other did."""
    await conn.execute("select pg_advisory_xact_lock(%s)", [LOCK])


async def authenticate(conn: Conn, token: str) -> Caller:
    [answer] = await authenticate_all(conn, [token])
    if isinstance(answer, Exception):
        raise answer
    return answer


async def authenticate_all(conn: Conn, given: Sequence[str]) -> list[Caller | Exception]:
    """Who has each of these tokens, as the database knows it now: what is revoked is refused.

    Looked up by digest, so the time it takes tells nothing about a token.
    """
    digests = [digest(token) if TOKEN.fullmatch(token) else None for token in given]
    found = await tokens.find(conn, list({each for each in digests if each is not None}))
    if stale := [row["id"] for row in found if not row["fresh"]]:
        await tokens.used(conn, stale)
    callers = {row["digest"]: caller_of(row) for row in found}
    return [callers.get(each) or unknown() for each in digests]


def caller_of(row: Row) -> Caller:
    scopes = None if row["scopes"] is None else frozenset(row["scopes"])
    name = row["user_name"] or row["name"]
    return Caller(row["id"], name, Role(row["role"]), scopes, row["user_id"])


def unknown() -> Unauthenticated:
    return Unauthenticated("this token is unknown, expired or revoked", remedy=REMEDY)


async def ensure_admin(conn: Conn, file: Path) -> bool:
    """Make the first admin token, in `file`; False if there is an admin already.

    The file comes before the commit: a start that was cut short between the two finds it, and
    registers what it holds.
    """
    async with conn.transaction():
        await lock_admins(conn)
        if await tokens.has_admin(conn):
            return False
        await register(conn, first_token(file), "admin", Role.ADMIN)
    return True


async def register_first(conn: Conn, token: str) -> bool:
    """Make a given token the first admin's; False if there is an admin already."""
    if not TOKEN.fullmatch(token):
        raise Invalid(
            "PROCESSION_ADMIN_TOKEN is no token: it is `pn_admin_` and 43 characters of "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`",
            field="admin_token",
        )
    async with conn.transaction():
        await lock_admins(conn)
        if await tokens.has_admin(conn):
            return False
        await register(conn, token, "admin", Role.ADMIN)
    return True


def first_token(file: Path) -> str:
    token = new_token(Role.ADMIN)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(file)
    with os.fdopen(descriptor, "w") as out:
        out.write(token + "\n")
    return token


def read_token(file: Path) -> str:
    """What a token file holds, if nobody else can have read or written it."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise Conflict(f"{file}: {error.strerror}: remove it and start again") from error
    with os.fdopen(descriptor) as opened:
        facts = os.fstat(opened.fileno())
        text = opened.read(200).strip()
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise Conflict(f"{file} is open to others: remove it and start again")
    if not TOKEN.fullmatch(text):
        raise Conflict(f"{file} holds no token: remove it and start again")
    return text


async def require_admin_beyond_loopback(conn: Conn, host: str) -> None:
    """A server that others can reach needs somebody who may say who they are."""
    if not is_loopback(host) and not await tokens.has_admin(conn):
        raise Invalid(
            f"no admin token exists, so the server does not listen on {host}: "
            "start it once on 127.0.0.1",
            field="host",
        )


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
