"""The key that signs what workstations show: one for the whole installation, made once.

It is encrypted as secrets are, so that whoever has the database alone can sign nothing; and what
the database says is its public half is believed only if it fits what was encrypted.
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import AsyncConnection

from edge import identity
from scheduler.services.keyring import Cell, Keyring, Keys
from scheduler.store import secrets, station_access
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

CELL = Cell(0, "what signs for workstations", 1)  # no secret has the id 0


async def key(conn: Conn, keys: Keys) -> Ed25519PrivateKey:
    """What signs here; made now where there is none yet."""
    found = await station_access.signing(conn) or await made(conn, keys.load())
    return opened(found, keys.load())


async def made(conn: Conn, ring: Keyring) -> Row:
    """Of two servers that make one at once, the first counts for both."""
    fresh, key = Ed25519PrivateKey.generate(), ring.current
    sealed = key.seal(CELL, identity.told(fresh.private_bytes_raw()))
    async with conn.transaction():
        await secrets.see_key(conn, key.id)
        await station_access.sign_with(
            conn, public_key=identity.public(fresh), key=key.id, sealed=sealed
        )
    found = await station_access.signing(conn)
    assert found is not None
    return found


def opened(row: Row, ring: Keyring) -> Ed25519PrivateKey:
    raw = ring.open(CELL, row["key_id"], row["sealed"])
    return Ed25519PrivateKey.from_private_bytes(identity.heard(raw))


async def reseal(conn: Conn, ring: Keyring) -> int:
    """Encrypts it with the current key, if another one did; how many there were."""
    async with conn.transaction():
        found = await station_access.lock_signing(conn)
        if found is None or found["key_id"] == ring.current.id:
            return 0
        raw = ring.open(CELL, found["key_id"], found["sealed"])
        await secrets.see_key(conn, ring.current.id)
        await station_access.reseal(conn, key=ring.current.id, sealed=ring.current.seal(CELL, raw))
    return 1
