"""Users: people who sign in or have tokens, their passwords and where they are signed in."""

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute, source_of
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import Conn, TheCaller, TheServer
from scheduler.services import login_links, sessions, users
from scheduler.services.access import Role
from scheduler.services.users import Change, Person
from scheduler.store import sessions as stored_sessions
from scheduler.store import users as stored
from scheduler.store.rows import Row

router = APIRouter(tags=["users"], route_class=GuardedRoute)

NAME = r"^[a-z0-9][a-z0-9._@-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME, examples=["anna"])]
Id = Annotated[str, Path(alias="user", min_length=1, max_length=63, examples=["anna"])]
SessionId = Annotated[int, Path(alias="session", ge=1, le=2**63 - 1)]
UserRole = Literal["viewer", "operator", "author", "admin"]
DisplayName = Annotated[str, Field(max_length=200, examples=["Anna Berg"])]
Email = Annotated[
    str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$", examples=["anna@example.org"])
]
Password = Annotated[
    str, Field(min_length=12, max_length=256, json_schema_extra={"format": "password"})
]
OldPassword = Annotated[str, Field(max_length=256, json_schema_extra={"format": "password"})]


class NewUser(Inward):
    name: Name
    role: UserRole
    display_name: DisplayName = ""
    email: Email | None = None


class ChangeUser(Inward):
    """What is left out stays as it is."""

    role: UserRole | None = None
    display_name: DisplayName | None = None
    email: Email | None = Field(default=None, description="Null takes it away.")
    disabled: bool | None = Field(
        default=None, description="True ends tokens, sessions and links at once and for good."
    )


class User(Outward):
    """Somebody who can sign in, once a password is set."""

    name: str
    display_name: str
    email: str | None
    role: UserRole
    disabled_at: Time | None = Field(description="Nothing may be done since.")
    password_set_at: Time | None
    last_login_at: Time | None
    created_at: Time
    created_by: str


class PasswordLink(BaseModel):
    """Good for setting a password once."""

    user: str
    token: str = Field(description="Shown now and never again; not for an address.")
    expires_at: Time


class SetPassword(Inward):
    token: Annotated[str, Field(min_length=1, max_length=200, examples=["pn_password_…"])]
    password: Password


class ChangePassword(Inward):
    old: OldPassword
    password: Password


class Session(Outward):
    """Where somebody is signed in."""

    id: int
    user: str
    source: str = Field(description="The address.")
    agent: str = Field(description="What the browser says of itself.")
    created_at: Time
    seen_at: Time = Field(description="To the minute.")
    expires_at: Time = Field(description="Unless something is asked before.")
    ends_at: Time = Field(description="In any case.")


class Me(BaseModel):
    """Who asks."""

    name: str
    role: str
    user: str | None = Field(description="Null for a machine.")
    token: int | None
    scopes: list[str] | None = Field(description="Null for all.")


@router.get("/me", responses=problems())
async def get_me(caller: TheCaller) -> Me:
    """Say who asks, and what this token may do."""
    return Me(
        name=caller.name,
        role=caller.role,
        user=None if caller.user is None else caller.name,
        token=caller.id,
        scopes=None if caller.scopes is None else sorted(caller.scopes),
    )


@router.post("/users", status_code=201, responses=problems(409, 413, 422))
async def create_user(wish: NewUser, conn: Conn, caller: TheCaller, response: Response) -> User:
    """Create a user. A link lets them set a password."""
    person = Person(
        name=wish.name, role=Role(wish.role), display_name=wish.display_name, email=wish.email
    )
    made = await users.create(conn, person, by=caller)
    response.headers["Location"] = f"/api/v1/users/{wish.name}"
    return shown(made)


@router.get("/users", responses=problems(422))
async def list_users(
    conn: Conn,
    caller: TheCaller,
    role: UserRole | None = None,
    disabled: bool | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[User]:
    """List users in the order of their names. Whoever is no admin sees themself."""
    rows = await stored.page(
        conn,
        only=caller.only,
        role=role,
        disabled=disabled,
        after=pages.decode(cursor, pages.text),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "name", shown)


@router.get("/users/{user}", responses=problems(404, 422))
async def get_user(user: Id, conn: Conn, caller: TheCaller) -> User:
    """Show a user."""
    return shown(await users.get(conn, user, caller.only))


@router.patch("/users/{user}", responses=problems(404, 409, 413, 422))
async def change_user(user: Id, change: ChangeUser, conn: Conn, caller: TheCaller) -> User:
    """Change a user. Another role ends their sessions; the last admin stays one."""
    given = {
        name: value
        for name, value in change.model_dump(exclude_unset=True).items()
        if value is not None or name == "email"
    }
    if role := given.get("role"):
        given["role"] = Role(role)
    return shown(await users.change(conn, user, cast("Change", given), by=caller))


@router.delete("/users/{user}", status_code=204, responses=problems(404, 409, 422))
async def delete_user(user: Id, conn: Conn, caller: TheCaller) -> None:
    """Delete a user, with their tokens and sessions. What they did stays told."""
    await users.delete(conn, user, by=caller)


@router.post("/users/{user}/password-link", status_code=201, responses=problems(404, 409, 422))
async def make_password_link(
    user: Id, conn: Conn, caller: TheCaller, server: TheServer
) -> PasswordLink:
    """Make a link that its user can set a password with, once. The one before is void."""
    token, expires_at = await users.make_link(
        conn, user, by=caller, length=server.settings.sign_in.link
    )
    return PasswordLink(user=user, token=token, expires_at=expires_at)


class NewLoginLink(Inward):
    user: Name | None = Field(default=None, description="Null lets the admin of the machine in.")


class LoginLink(Outward):
    """What lets somebody into the dashboard, once."""

    code: str = Field(description="Shown this once.")
    path: str = Field(description="On the server's own address; opened, it changes nothing.")
    expires_at: Time


@router.post("/login-links", status_code=201, responses=problems(403, 404, 409, 422))
async def make_login_link(
    wish: NewLoginLink, conn: Conn, caller: TheCaller, server: TheServer
) -> LoginLink:
    """Make a link that lets a user, or the admin of the machine, into the dashboard, once."""
    link = await login_links.make(conn, caller, server.settings.sign_in, wish.user)
    return LoginLink(code=link.code, path=link.path, expires_at=link.expires_at)


@router.put("/users/{user}/password", status_code=204, responses=problems(404, 409, 413, 422, 429))
async def change_password(
    user: Id,
    wish: ChangePassword,
    conn: Conn,
    caller: TheCaller,
    server: TheServer,
    request: Request,
) -> None:
    """Change one's own password, with the old one. All sessions end."""
    await users.change_password(
        conn,
        user,
        wish.old,
        wish.password,
        by=caller,
        source=source_of(request),
        settings=server.settings.sign_in,
    )


@router.post("/password", status_code=204, responses=problems(413, 422))
async def set_password(wish: SetPassword, conn: Conn) -> None:
    """Set a password with a link, which stands for whoever asks. All sessions end."""
    await users.set_by_link(conn, wish.token, wish.password)


@router.get("/sessions", responses=problems(422))
async def list_sessions(
    conn: Conn,
    caller: TheCaller,
    user: Annotated[str | None, Query(max_length=63)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Session]:
    """List where users are signed in, the newest first. Whoever is no admin sees their own."""
    rows = await stored_sessions.page(
        conn,
        user=caller.only,
        name=user,
        after=pages.decode(cursor, pages.big_number),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", Session.model_validate)


@router.delete("/sessions/{session}", status_code=204, responses=problems(404, 422))
async def end_session(session: SessionId, conn: Conn, caller: TheCaller) -> None:
    """Sign somebody out; one's own sessions, or anybody's for an admin."""
    await sessions.end(conn, session, of=caller.only)


def shown(row: Row) -> User:
    return User.model_validate(row)
