"""Tokens: who may ask. What a token is in clear text is shown once, when it is made."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import AwareDatetime, BaseModel, Field

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.state import By, Conn
from scheduler.services import access
from scheduler.services.access import Role, Scope
from scheduler.store import tokens

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=GuardedRoute)

Id = Annotated[int, Path(alias="token", ge=1, le=2**63 - 1)]
RoleName = Literal["viewer", "operator", "author", "admin", "agent", "worker"]


class NewToken(Inward):
    name: Annotated[str, Field(min_length=1, max_length=200, examples=["ci of the press"])]
    role: RoleName
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)] | None = Field(
        default=None, description="The parts of the API that it may ask; all if left out."
    )
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        default=None, examples=["2030-01-31T00:00:00Z"]
    )


class Token(Outward):
    """Somebody who may ask."""

    id: int
    name: str
    prefix: str = Field(description="Its beginning, to know it again by.")
    role: RoleName
    scopes: list[str] | None
    created_at: Time
    created_by: str | None
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None = Field(description="To the minute.")


class MadeToken(Token):
    token: str = Field(description="Shown now and never again.")


class Tokens(BaseModel):
    items: list[Token]


@router.post("", status_code=201, responses=problems(413, 422))
async def create_token(wish: NewToken, conn: Conn, by: By, response: Response) -> MadeToken:
    """Make a token."""
    id, token = await access.grant(
        conn, wish.name, Role(wish.role), scopes=wish.scopes, expires_at=wish.expires_at, by=by
    )
    response.headers["Location"] = f"/api/v1/tokens/{id}"
    return MadeToken.model_validate({**await access.get(conn, id), "token": token})


@router.get("", responses=problems())
async def list_tokens(conn: Conn) -> Tokens:
    """List tokens, those that are revoked or expired too."""
    return Tokens(items=[Token.model_validate(row) for row in await tokens.all(conn)])


@router.get("/{token}", responses=problems(404, 422))
async def get_token(token: Id, conn: Conn) -> Token:
    """Show a token, without its clear text."""
    return Token.model_validate(await access.get(conn, token))


@router.delete("/{token}", responses=problems(404, 409, 422))
async def revoke_token(token: Id, conn: Conn) -> Token:
    """Revoke a token: it is refused from now on, streams that it follows end soon."""
    return Token.model_validate(await access.revoke(conn, token))
