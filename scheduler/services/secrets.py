"""Secrets: put by admins, granted to types, read by nobody but the commands of a run.

Values are encrypted before they reach the database, and decrypted where a worker hands them on.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import secrets as rules
from scheduler.domain.errors import Forbidden, NotFound, Refusal
from scheduler.services import signing
from scheduler.services.keyring import Cell, Keyring, Keys
from scheduler.store import secrets
from scheduler.store.rows import Row

log = logging.getLogger(__name__)

LOCK = 7_301_944_119
BATCH = 100

Conn = AsyncConnection[Any]
Wish = tuple[UUID, str]


class NotGranted(Forbidden):
    """It is there, and this type may not use it."""


async def put(
    conn: Conn,
    keys: Keyring,
    name: str,
    value: str,
    *,
    note: str | None = None,
    grants: Sequence[str] | None = None,
    by: str,
) -> bool:
    """A new value, and with it a new secret or a new version; True if it is a new secret.

    The value before is gone for good. None leaves note and grants as they are.
    """
    rules.check_name(name)
    rules.check_value(value)
    grants = None if grants is None else rules.check_grants(grants)
    key = keys.current
    async with conn.transaction():
        made = await secrets.create(conn, name, note=note, grants=grants, by=by)
        found = made or await locked(conn, name)
        version = 1 if made else found["version"] + 1
        await secrets.put(
            conn,
            found["id"],
            version=version,
            key=key.id,
            sealed=key.seal(Cell(found["id"], name, version), value),
            fingerprint=key.fingerprint(found["id"], value),
            note=note,
            grants=grants,
            by=by,
        )
        await secrets.see_key(conn, key.id)
    return made is not None


async def locked(conn: Conn, name: str) -> Row:
    found = await secrets.lock(conn, name)
    if found is None:
        raise missing(name)
    return found


async def change(
    conn: Conn, name: str, *, note: str | None, grants: Sequence[str] | None, by: str
) -> None:
    grants = None if grants is None else rules.check_grants(grants)
    if not await secrets.change(conn, name, note=note, grants=grants, by=by):
        raise missing(name)


async def get(conn: Conn, name: str) -> Row:
    """All about it but its value."""
    found = await secrets.get(conn, name)
    if found is None:
        raise missing(name)
    return found


async def delete(conn: Conn, name: str) -> None:
    if not await secrets.delete(conn, name):
        raise missing(name)


def missing(name: str) -> NotFound:
    return NotFound(
        f"there is no secret {name[:140]!r}", remedy="`procession secrets set NAME` makes one"
    )


# For runs


async def values_for(
    conn: Conn, keys: Keyring, wishes: Collection[Wish]
) -> dict[Wish, str | Refusal]:
    """The secret that each run asks for by its name, or why it does not get it."""
    ordered = sorted(wishes)
    rows = await secrets.asked(conn, [run for run, _ in ordered], [name for _, name in ordered])
    found = {(row["run_id"], row["name"]): value_or_refusal(row, keys) for row in rows}
    given = {row["id"] for row in rows if isinstance(found[row["run_id"], row["name"]], str)}
    await secrets.used(conn, sorted(given))
    return found


def value_or_refusal(row: Row, keys: Keyring) -> str | Refusal:
    try:
        return value_of(row, keys)
    except Refusal as refusal:
        return refusal


def value_of(row: Row, keys: Keyring) -> str:
    name, type = row["name"], row["type"]
    if row["sealed"] is None:
        raise missing(name)
    if type is None or not rules.is_granted(row["grants"], type):
        raise NotGranted(
            f"secret {name!r} is not granted to the type {type!r}",
            remedy=f"an admin can grant it: `procession secrets grant {name} {type}`",
        )
    return keys.open(Cell(row["id"], name, row["version"]), row["key_id"], row["sealed"])


# Keys


async def ensure_key(conn: Conn, keys: Keys) -> None:
    """On the first start of a database that knows no key yet, one is made in the data folder."""
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        ring = keys.load()
        known = {row["id"]: row["secrets"] for row in await secrets.keys(conn)}
        if not ring.keys and not known and keys.may_make():
            ring = make_key(keys)
        if ring.keys:
            await secrets.see_key(conn, ring.current.id)
    at_hand = {key.id for key in ring.keys}
    if lacking := [key for key, used in known.items() if used and key not in at_hand]:
        log.warning("keys of secrets are missing here", extra={"keys": lacking, "in": ring.place})


def make_key(keys: Keys) -> Keyring:
    """A server without a place of its own serves all the same; only secrets say what they lack."""
    try:
        return keys.make()
    except OSError as error:
        log.warning("no key for secrets could be made", extra={"error": str(error)})
        return keys.load()


async def rotate(conn: Conn, keys: Keyring) -> int:
    """Encrypts with the current key what others did; how many. What cannot be read stops it, and
    what was done before stays done."""
    done = await signing.reseal(conn, keys)
    while count := await rotate_batch(conn, keys):
        done += count
    return done


async def rotate_batch(conn: Conn, keys: Keyring) -> int:
    key = keys.current
    async with conn.transaction():
        await secrets.see_key(conn, key.id)
        rows = await secrets.of_other_keys(conn, key.id, BATCH)
        cells = [Cell(row["id"], row["name"], row["version"]) for row in rows]
        values = [
            keys.open(cell, row["key_id"], row["sealed"])
            for cell, row in zip(cells, rows, strict=True)
        ]
        given = list(zip(cells, values, strict=True))
        ids = [cell.secret for cell in cells]
        await secrets.reseal(conn, key.id, ids, [key.seal(cell, value) for cell, value in given])
        await secrets.mark(conn, ids, [key.fingerprint(c.secret, value) for c, value in given])
    return len(rows)


async def all_keys(conn: Conn, keys: Keyring) -> list[Row]:
    """Every key that is in use or was, and whether it is at hand here."""
    at_hand = [key.id for key in keys.keys]
    used = {row["id"]: row["secrets"] for row in await secrets.keys(conn)}
    return [
        {
            "id": id,
            "secrets": used.get(id, 0),
            "is_current": id in at_hand[:1],
            "is_at_hand": id in at_hand,
        }
        for id in dict.fromkeys([*at_hand, *used])
    ]
