"""Tokens: who may ask. What a token is in clear text is shown once, when it is made."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, AwareDatetime, Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import Conn, TheCaller
from scheduler.services import access
from scheduler.services.access import Grant, Role, Scope
from scheduler.store import tokens

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=GuardedRoute)

Id = Annotated[int, Path(alias="token", ge=1, le=2**63 - 1)]
RoleName = Literal["viewer", "operator", "author", "admin", "agent", "worker"]


def in_utc(moment: datetime) -> datetime:
    """What its zone alone puts into the year 9999 PostgreSQL would take, and nobody could read."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Input should be before the year 10000 in UTC") from None


class NewToken(Inward):
    name: Annotated[str, Field(min_length=1, max_length=200, examples=["ci of the press"])]
    role: RoleName
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=50)] | None = Field(
        default=None, description="The parts of the API that it may ask; all if left out."
    )
    expires_at: Annotated[AwareDatetime, Field(strict=False), AfterValidator(in_utc)] | None = (
        Field(default=None, examples=["2030-01-31T00:00:00Z"])
    )
    user: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None,
        description="Whose it is; it may do no more than its user. Null for a machine's.",
    )


class Token(Outward):
    """Somebody who may ask."""

    id: int
    name: str
    prefix: str = Field(description="Its beginning, to know it again by.")
    role: RoleName
    user: str | None = Field(description="Null for a machine.")
    scopes: list[str] | None
    created_at: Time
    created_by: str | None
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None = Field(description="To the minute.")


class MadeToken(Token):
    token: str = Field(description="Shown now and never again.")


@router.post("", status_code=201, responses=problems(409, 413, 422))
async def create_token(
    wish: NewToken, conn: Conn, caller: TheCaller, response: Response
) -> MadeToken:
    """Make a token, for a machine or for a user. A token with scopes makes none beyond these."""
    given = Grant(
        name=wish.name,
        role=Role(wish.role),
        scopes=wish.scopes,
        expires_at=wish.expires_at,
        user=wish.user,
    )
    id, token = await access.grant(conn, given, by=caller)
    response.headers["Location"] = f"/api/v1/tokens/{id}"
    return MadeToken.model_validate({**await access.get(conn, id, caller.sight), "token": token})


@router.get("", responses=problems(422))
async def list_tokens(
    conn: Conn,
    caller: TheCaller,
    user: Annotated[str | None, Query(max_length=63)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Token]:
    """List tokens, the newest first, those that are revoked or expired too.

    Whoever is no admin sees their own and the one that they ask with.
    """
    rows = await tokens.page(
        conn,
        caller.sight,
        name=user,
        after=pages.decode(cursor, pages.big_number),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", Token.model_validate)


@router.get("/{token}", responses=problems(404, 422))
async def get_token(token: Id, conn: Conn, caller: TheCaller) -> Token:
    """Show a token, without its clear text."""
    return Token.model_validate(await access.get(conn, token, caller.sight))


@router.delete("/{token}", responses=problems(404, 409, 422))
async def revoke_token(token: Id, conn: Conn, caller: TheCaller) -> Token:
    """Revoke a token: it is refused from now on, streams that it follows end soon.

    Whoever is no admin revokes their own and the one that they ask with.
    """
    return Token.model_validate(await access.revoke(conn, token, caller.sight))
