"""Secrets: put and granted by admins, named by authors, shown to nobody."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.domain.secrets import LONGEST, MOST_GRANTS, SECRET_NAME_RULE, SHORTEST
from scheduler.services import secrets
from scheduler.services.keyring import Keyring, Keys
from scheduler.store import secrets as stored


class Discreet(GuardedRoute):
    """A refusal never shows what was sent: it may be a value under a misspelt key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def discreet(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                silent = [{**each, "input": None} for each in error.errors()]
                raise RequestValidationError(silent) from None

        return discreet


router = APIRouter(tags=["secrets"], route_class=Discreet)


def keys_of(request: Request) -> Keyring:
    """Read anew: a key that was added to the file counts at once."""
    keys: Keys = getattr(request.app.state, "keys", Keys())
    return keys.load()


TheKeys = Annotated[Keyring, Depends(keys_of)]
Name = Annotated[
    str, Path(max_length=128, description=f"{SECRET_NAME_RULE}.", examples=["db/password"])
]
Grants = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=63)]],
    Field(
        max_length=MOST_GRANTS,
        description="The types that may use it; `*` stands for all.",
        examples=[["nightly-report"]],
    ),
]
Note = Annotated[str, Field(max_length=2000, examples=["of the shop's database"])]


class PutSecret(Inward):
    value: str = Field(
        min_length=SHORTEST,
        max_length=LONGEST,
        description=f"{SHORTEST} to {LONGEST} bytes of text. Nobody is ever shown it again.",
        json_schema_extra={"writeOnly": True},
        examples=["correct horse battery staple"],
    )
    grants: Grants | None = Field(
        default=None, description="Left out, those before stay; a new secret has none."
    )
    note: Note | None = None


class ChangeSecret(Inward):
    """What is left out stays as it is."""

    grants: Grants | None = None
    note: Note | None = None


class Secret(Outward):
    """All about a secret but its value."""

    name: str
    note: str
    grants: list[str]
    version: int = Field(description="Rises with each new value.")
    fingerprint: str = Field(description="Another one stands for another value, or another key.")
    key: str = Field(validation_alias="key_id", description="What encrypts it.")
    created_at: Time
    created_by: str
    changed_at: Time
    changed_by: str
    last_used_at: Time | None = Field(description="By a run, to the minute.")


class SecretKey(Outward):
    id: str
    secrets: int = Field(description="How many it encrypts.")
    is_current: bool = Field(description="New values are encrypted with it.")
    is_at_hand: bool = Field(description="False if this server does not have it.")


class SecretKeys(BaseModel):
    items: list[SecretKey]


class Rotated(SecretKeys):
    rotated: int = Field(description="How many secrets were encrypted anew.")


@router.get("/secrets", responses=problems(422))
async def list_secrets(conn: Conn, limit: Limit = 50, cursor: Cursor = None) -> Page[Secret]:
    """List secrets in the order of their names, without their values."""
    after = pages.decode(cursor, pages.text) or ""
    rows = await stored.page(conn, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "name", Secret.model_validate)


@router.get("/secrets/{name:path}", responses=problems(404, 422))
async def get_secret(name: Name, conn: Conn) -> Secret:
    """Show a secret, without its value."""
    return Secret.model_validate(await secrets.get(conn, name))


@router.put(
    "/secrets/{name:path}",
    responses={201: {"model": Secret, "description": "Made."}, **problems(413, 422)},
)
async def put_secret(
    name: Name, wish: PutSecret, conn: Conn, keys: TheKeys, by: By, response: Response
) -> Secret:
    """Make a secret, or give it a new value; the value before is gone for good."""
    is_new = await secrets.put(
        conn, keys, name, wish.value, note=wish.note, grants=wish.grants, by=by
    )
    response.status_code = 201 if is_new else 200
    return Secret.model_validate(await secrets.get(conn, name))


@router.patch("/secrets/{name:path}", responses=problems(404, 422))
async def change_secret(name: Name, wish: ChangeSecret, conn: Conn, by: By) -> Secret:
    """Change who may use a secret, or its note; its value stays."""
    await secrets.change(conn, name, note=wish.note, grants=wish.grants, by=by)
    return Secret.model_validate(await secrets.get(conn, name))


@router.delete("/secrets/{name:path}", status_code=204, responses=problems(404, 422))
async def delete_secret(name: Name, conn: Conn) -> None:
    """Delete a secret with its value; runs that ask for it fail and say so."""
    await secrets.delete(conn, name)


@router.get("/secret-keys", responses=problems())
async def list_secret_keys(conn: Conn, keys: TheKeys) -> SecretKeys:
    """List the keys that encrypt secrets or once did, by their ids."""
    return SecretKeys(items=await known(conn, keys))


@router.post("/secret-keys/rotate", responses=problems())
async def rotate_secret_keys(conn: Conn, keys: TheKeys) -> Rotated:
    """Encrypt with the current key, the first of the key file, what others encrypt."""
    rotated = await secrets.rotate(conn, keys)
    return Rotated(items=await known(conn, keys), rotated=rotated)


async def known(conn: Conn, keys: Keyring) -> list[SecretKey]:
    return [SecretKey.model_validate(row) for row in await secrets.all_keys(conn, keys)]
