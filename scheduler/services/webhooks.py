"""Webhooks: made by admins, called by whoever holds the key."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import webhooks as rules
from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.webhooks import Call, WebhookSpec, read_webhook, write_webhook
from scheduler.services.keyring import Cell, Keyring
from scheduler.store import secrets, webhooks
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Vouched:
    """A webhook that somebody who holds its key called, and what the call is known by."""

    spec: WebhookSpec
    digest: str


async def put(conn: Conn, name: str, spec: WebhookSpec, *, by: str) -> Row:
    rules.check_name(name)
    async with conn.transaction():
        await require_secret(conn, spec.secret, "secret")
        if spec.previous is not None:
            await require_secret(conn, spec.previous, "previous")
        await webhooks.put(conn, name, spec=write_webhook(spec), by=by)
    return await get(conn, name)


async def require_secret(conn: Conn, name: str, field: str) -> None:
    if await secrets.get(conn, name) is None:
        raise Invalid(
            f"there is no secret {name!r}",
            field=field,
            remedy=f"put it first: `procession secrets set {name}`",
        )


async def get(conn: Conn, name: str) -> Row:
    found = await webhooks.get(conn, name)
    if found is None:
        raise missing(name)
    return found


def missing(name: str) -> NotFound:
    return NotFound(f"there is no webhook {name[:80]!r}: `procession webhooks` lists what there is")


async def rotate(conn: Conn, name: str, secret: str, *, overlap: timedelta) -> Row:
    """Another key; the one before counts for as long as the overlap."""
    async with conn.transaction():
        row = await webhooks.lock(conn, name)
        if row is None:
            raise missing(name)
        await require_secret(conn, secret, "secret")
        spec = read_webhook(row["spec"])
        if secret == spec.secret:
            raise Invalid(
                f"{secret!r} is its key already: put the new one under a name of its own",
                field="secret",
            )
        document = write_webhook(replace(spec, secret=secret, previous=spec.secret))
        await webhooks.rotate(conn, row["id"], spec=document, overlap=overlap)
    return await get(conn, name)


async def delete(conn: Conn, name: str) -> None:
    if not await webhooks.delete(conn, name):
        raise missing(name)


async def vouched(conn: Conn, keys: Keyring, name: str, call: Call) -> Vouched:
    """Raises Unauthenticated, and says no more to those who hold no key."""
    rows = await webhooks.keys(conn, name)
    if not rows:
        raise rules.refused()
    spec = read_webhook(rows[0]["spec"])
    known = [
        keys.open(Cell(row["id"], row["name"], row["version"]), row["key_id"], row["sealed"])
        for row in rows
        if row["sealed"] is not None
    ]
    return Vouched(spec, rules.verify(spec, call, known, rows[0]["now"]))
