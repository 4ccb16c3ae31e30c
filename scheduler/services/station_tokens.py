"""How a workstation proves who it is, time and again: a nonce, its signature, a token for a while.

A nonce says itself for whom and until when it is, under a code that only this installation can
make, so nothing is kept of those that strangers ask for; one that was signed is good once. A token
is bound to the key that it was given for: when the workstation has another key, is revoked or is
gone, it is worthless at once, whatever it says.
"""

import hmac
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import AsyncConnection

from edge import identity
from edge.identity import SLACK, BadProof, Grant, at_server
from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from scheduler.services import signing, tries
from scheduler.services.keyring import Keys
from scheduler.services.sessions import network_of
from scheduler.settings import SignInSettings
from scheduler.store import station_access
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

NONCE_LASTS = 60  # seconds
TOKEN_LASTS = 30 * 60
GRANT_LASTS = timedelta(days=1)  # workstations go on with each other while the server is away
NONCE = b"procession nonce 1\0"
MAC = 16  # bytes
MOST_PEERS = 1_000
NONCES = 20  # for each try: they cost little, and a hall full of machines may ask at once
AGAIN = "ask for a nonce, sign it with the workstation's key and send it within a minute"


@dataclass(frozen=True, slots=True)
class Given:
    token: str
    expires_at: datetime
    server_key: str


# Nonces.


async def nonce(
    conn: Conn, keys: Keys, name: str, *, source: str, settings: SignInSettings
) -> tuple[str, datetime]:
    """The same for a workstation that there is and for one that there is not."""
    await tries.count(conn, f"nonces {network_of(source)}", settings, times=NONCES)
    key, until = await signing.key(conn, keys), int(time.time()) + NONCE_LASTS
    head = until.to_bytes(8) + os.urandom(16)
    return identity.told(head + code(key, name, head)), datetime.fromtimestamp(until, UTC)


def code(key: Ed25519PrivateKey, name: str, head: bytes) -> bytes:
    secret = hmac.digest(key.private_bytes_raw(), NONCE, "sha256")
    return hmac.digest(secret, head + name.encode(), "sha256")[:MAC]


def check_nonce(key: Ed25519PrivateKey, name: str, nonce: str, now: float) -> int:
    """Until when it would be good."""
    said = identity.heard(nonce)
    head, proof = said[:-MAC], said[-MAC:]
    if len(head) != 24 or not hmac.compare_digest(code(key, name, head), proof):
        raise BadProof("this nonce is not ours")
    until = int.from_bytes(head[:8])
    if now > until + SLACK:
        raise BadProof("this nonce is too old")
    return until


# Tokens.


async def token(
    conn: Conn,
    keys: Keys,
    name: str,
    nonce: str,
    proof: str,
    *,
    source: str,
    settings: SignInSettings,
) -> Given:
    row = await station_access.admitted(conn, name)
    known = row is not None and row["id"] is not None
    # Each fails for itself, so that one which does shuts none of its neighbours out.
    who = f"station {name}" if known else "strangers"

    async def look() -> Row:
        return await proven(conn, keys, name, row, nonce, proof)

    found = await tries.counted(conn, f"{who} from {network_of(source)}", settings, look)
    require_accepted(found)
    return issued(await signing.key(conn, keys), found)


async def proven(conn: Conn, keys: Keys, name: str, row: Row | None, nonce: str, proof: str) -> Row:
    """The workstation that can sign this nonce, which nobody did before."""
    key = await signing.key(conn, keys)
    audience = at_server(identity.public(key))
    try:
        until = check_nonce(key, name, nonce, time.time())
        if row is None or row["id"] is None:
            raise BadProof("there is no such workstation")
        identity.check_proof(row["public_key"], audience, nonce, proof)
    except BadProof as error:
        raise stranger(name) from error
    if not await station_access.use_nonce(
        conn, sha256(nonce.encode()).digest(), row["id"], until=until
    ):
        raise Unauthenticated("this nonce was used already", remedy=AGAIN)
    return row


def stranger(name: str) -> Unauthenticated:
    """The same for every reason: who cannot sign learns nothing about who there is."""
    return Unauthenticated(
        f"this does not prove that you are the workstation {name[:70]!r}",
        remedy=f"{AGAIN}; if the key is another one now, join again with a new invitation",
    )


def require_accepted(row: Row) -> None:
    if row["state"] == "PENDING":
        mark = identity.fingerprint(row["public_key"])
        raise Conflict(
            f"the workstation {row['name']!r} waits until somebody accepts it",
            remedy=f"compare the fingerprint {mark}, then `procession workstation accept "
            f"{row['name']}`",
        )
    if row["state"] != "ACCEPTED":
        raise Forbidden(
            f"the workstation {row['name']!r} was revoked by {row['revoked_by']}",
            remedy="it comes back with a new invitation: `procession workstation add "
            f"{row['name']} --replace`",
        )


def issued(key: Ed25519PrivateKey, row: Row) -> Given:
    server_key = identity.public(key)
    until = int(time.time()) + TOKEN_LASTS
    grant = Grant(row["name"], at_server(server_key), until, key=row["public_key"])
    return Given(identity.issue(key, grant), datetime.fromtimestamp(until, UTC), server_key)


# Another key.


async def rotate(conn: Conn, workstation: Row, successor: str, proof: str) -> str:
    """The old key says which one comes after it. Said again, it is answered the same."""
    async with conn.transaction():
        found = await station_access.lock(conn, workstation["name"])
        if found is None or found["id"] != workstation["id"] or found["state"] == "REVOKED":
            raise Unauthenticated(
                "this workstation was revoked or removed",
                remedy="join again with a new invitation",
            )
        if found["public_key"] != successor:
            await succeed(conn, found, successor, proof)
    return identity.fingerprint(successor)


async def succeed(conn: Conn, found: Row, successor: str, proof: str) -> None:
    try:
        identity.check_successor(found["public_key"], successor, proof)
    except BadProof as error:
        raise Invalid(
            f"{error}: the key that counts now has to sign its successor", field="proof"
        ) from None
    other = await station_access.with_key(conn, successor)
    if other is not None:
        raise Conflict(
            "this key is another workstation's",
            field="successor",
            remedy="make one on this machine: `procession edge rotate`",
        )
    await station_access.rotate(
        conn, found["id"], public_key=found["public_key"], successor=successor
    )


# For other workstations.


async def grant(
    conn: Conn,
    keys: Keys,
    workstation: Row,
    peer: str,
    types: Sequence[str],
    lasts: timedelta = GRANT_LASTS,
) -> Given:
    """What lets a workstation start these types at another one, which checks it without us."""
    require_granted(workstation, peer, types)
    found = await station_access.get(conn, peer)
    if found is None or found["state"] != "ACCEPTED":
        raise NotFound(
            f"there is no workstation {peer!r} that may be called",
            remedy="it has to join, and to be accepted, first",
        )
    key = await signing.key(conn, keys)
    since = int(time.time())
    until = since + int(lasts.total_seconds())
    given = Grant(
        workstation["name"],
        peer,
        until,
        types=tuple(types),
        key=workstation["public_key"],
        since=since,
    )
    return Given(
        identity.issue(key, given), datetime.fromtimestamp(until, UTC), identity.public(key)
    )


def require_granted(workstation: Row, peer: str, types: Sequence[str]) -> None:
    """Nothing is granted that nobody has allowed."""
    allowed = allowed_types(workstation, peer)
    if "*" in allowed:
        return
    if missing := [each for each in types if each not in allowed]:
        name = workstation["name"]
        raise Forbidden(
            f"{name!r} may not start {missing[0][:70]!r} at {peer[:70]!r}",
            field="types",
            remedy=f"an admin can allow it: `procession workstation allow {name} {peer[:70]} "
            f"--type {missing[0][:70]}`",
        )


def allowed_types(workstation: Row, peer: str) -> list[str]:
    """What it may start there, as people say for this peer and for all of them."""
    peers = workstation["peers"]
    allowed = {*peers.get(peer, ()), *peers.get("*", ())}
    return ["*"] if "*" in allowed else sorted(allowed)
