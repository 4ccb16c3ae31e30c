"""People: users, what they may do, and how they come by a password."""

from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn, TheCaller, TheServer
from scheduler.domain.errors import Conflict, Forbidden, Invalid, Refusal, TooMany
from scheduler.services import users
from scheduler.services.access import PEOPLE, Caller
from scheduler.services.users import Change, Person
from scheduler.store import sessions as stored_sessions
from scheduler.store import tokens as stored_tokens
from scheduler.store import users as stored
from scheduler.store.rows import Row
from ui import access, forms_of_people, frame, lists, session
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/people", route_class=Screen)

SHOWN, EXPORTED, OF_ONE = 50, 200, 20
ROLES = tuple(role.value for role in PEOPLE)
FAULTS = (Invalid, Conflict, Forbidden, TooMany)
# What is shown once stays out of every store, and no length of a packed page tells of it.
ONCE = {"Cache-Control": "no-store", "Content-Encoding": "identity"}

Name = Annotated[str, Path(alias="user", min_length=1, max_length=63)]

LIST = Listing(
    fields=(
        Field("q", "Name or e-mail has"),
        Field("role", "Role", "choice", ROLES),
        Field("is", "Is", "choice", ("enabled", "disabled")),
    ),
    columns=(
        Column("name", "User"),
        Column("role", "Role"),
        Column("state", "State"),
        Column("login", "Last signed in"),
        Column("made", "Made"),
    ),
)
CELLS: lists.Cells[Row] = {
    "name": lambda row: row["name"],
    "display_name": lambda row: row["display_name"],
    "email": lambda row: row["email"],
    "role": lambda row: row["role"],
    "disabled_at": lambda row: row["disabled_at"],
    "password_set_at": lambda row: row["password_set_at"],
    "last_login_at": lambda row: row["last_login_at"],
    "created_at": lambda row: row["created_at"],
    "created_by": lambda row: row["created_by"],
}


@router.get("")
async def ui_people(request: Request, conn: Conn, caller: TheCaller) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "users", CELLS, reading(asked, caller))
    return await list_page(request, conn, caller)


async def list_page(
    request: Request,
    conn: AsyncConnection[Any],
    caller: Caller,
    *,
    fault: Refusal | None = None,
    written: Form | None = None,
) -> Response:
    asked = LIST.read(request)
    rows, next = await reading(asked, caller, SHOWN)(conn, asked.text_cursor())
    return await frame.page(
        request,
        conn,
        "people.html",
        status=frame.status_of(fault) if fault else 200,
        asked=asked,
        users=rows,
        next=asked.next(next),
        roles=ROLES,
        obstacle=obstacle(caller),
        fault=fault,
        written=written,
        caller=caller,
    )


def reading(asked: Asked, caller: Caller, limit: int = EXPORTED) -> lists.Read[Row]:
    text, role, state = asked.text("q"), asked.one_of("role"), asked.one_of("is")
    disabled = None if state is None else state == "disabled"

    async def read(conn: AsyncConnection[Any], after: str | None) -> tuple[list[Row], str | None]:
        rows = await stored.page(
            conn,
            limit=limit + 1,
            after=after,
            only=caller.only,
            role=role,
            disabled=disabled,
            text=text,
        )
        return rows[:limit], rows[limit - 1]["name"] if len(rows) > limit else None

    return read


def obstacle(caller: Caller) -> str | None:
    """Why somebody may not change users."""
    if not access.may(caller, "ui_create_user"):
        return f"this takes an admin; you are {caller.role}"
    return None if caller.may_all else "this takes an admin without scopes"


@router.post("")
async def ui_create_user(request: Request, conn: Conn, caller: TheCaller) -> Response:
    form: Form = request.state.form
    try:
        person = person_of(form)
        await users.create(conn, person, by=caller)
    except FAULTS as error:
        return await list_page(request, conn, caller, fault=error, written=form)
    return frame.see(path_of(person.name), said="user-made")


def person_of(form: Form) -> Person:
    return Person(
        name=forms_of_people.name(form.get("name")),
        role=forms_of_people.role(form.get("role"), PEOPLE),
        display_name=forms_of_people.display_name(form.get("display_name")),
        email=forms_of_people.email(form.get("email")),
    )


def path_of(name: str) -> str:
    return f"/ui/people/users/{quote(name, safe='')}"


@router.get("/users/{user}")
async def ui_user(user: Name, request: Request, conn: Conn, caller: TheCaller) -> Response:
    return await user_page(request, conn, caller, user)


async def user_page(
    request: Request,
    conn: AsyncConnection[Any],
    caller: Caller,
    name: str,
    *,
    fault: Refusal | None = None,
    written: Form | None = None,
) -> Response:
    found = await users.get(conn, name, caller.only)
    return await frame.page(
        request,
        conn,
        "person.html",
        status=frame.status_of(fault) if fault else 200,
        user=found,
        path=path_of(name),
        tokens=await stored_tokens.page(conn, caller.sight, limit=OF_ONE, name=name),
        sessions=await stored_sessions.page(conn, limit=OF_ONE, user=caller.only, name=name),
        own=session.person_of(request).session,
        is_self=found["id"] == caller.user,
        roles=ROLES,
        obstacle=obstacle(caller),
        fault=fault,
        written=written,
    )


@router.post("/users/{user}/password")
async def ui_change_password(
    user: Name, request: Request, conn: Conn, caller: TheCaller, server: TheServer
) -> Response:
    """One's own, with the one before. Neither is ever sent back."""
    form: Form = request.state.form
    try:
        if form.get("password") != form.get("again"):
            raise Invalid("the new password was typed in two ways", field="again")
        await users.change_password(
            conn,
            user,
            form.get("old")[:256],
            form.get("password"),
            by=caller,
            source=frame.source_of(request),
            settings=server.settings.sign_in,
            session=session.person_of(request).session,
        )
    except FAULTS as error:
        return await user_page(request, conn, caller, user, fault=error)
    return frame.see(path_of(user), said="password")


@router.post("/users/{user}/{verb}")
async def ui_user_command(
    user: Name, verb: str, request: Request, conn: Conn, caller: TheCaller, server: TheServer
) -> Response:
    form: Form = request.state.form
    try:
        match verb:
            case "change":
                await users.change(conn, user, change_of(form), by=caller)
            case "disable" | "enable":
                await users.change(conn, user, {"disabled": verb == "disable"}, by=caller)
            case "delete":
                await users.delete(conn, user, by=caller)
                return frame.see("/ui/people", said="user-delete")
            case "link":
                length = server.settings.sign_in.link
                token, until = await users.make_link(conn, user, by=caller, length=length)
                return shown_once(
                    await frame.page(
                        request, conn, "person_link.html", user=user, token=token, until=until
                    )
                )
            case _:
                raise Invalid("a user is changed, disabled, enabled or deleted", field="verb")
    except FAULTS as error:
        return await user_page(request, conn, caller, user, fault=error, written=form)
    return frame.see(path_of(user), said=f"user-{verb}")


def change_of(form: Form) -> Change:
    given: dict[str, Any] = {
        "role": forms_of_people.role(form.get("role"), PEOPLE),
        "display_name": forms_of_people.display_name(form.get("display_name")),
        "email": forms_of_people.email(form.get("email")),
    }
    return cast("Change", given)


def shown_once(answer: Response) -> Response:
    answer.headers.update(ONCE)
    return answer
