"""What people do with workstations, and who a workstation is that asks.

Whoever serves a workstation hears of every change of what it may: as `workstation:ID` among the
`people` of a wake, sent by the database itself, so that open streams end at once.
"""

import time
from collections.abc import Mapping
from typing import Any, TypedDict

from psycopg import AsyncConnection

from edge import identity
from edge.identity import BadProof, at_server
from scheduler.domain import places
from scheduler.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
)
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.wakes import Wake
from scheduler.services import signing
from scheduler.services.enrolment import checked_labels
from scheduler.services.keyring import Keys
from scheduler.services.waking import notify
from scheduler.store import station_access
from scheduler.store.rows import Row
from scheduler.store.station_access import Settled

Conn = AsyncConnection[Any]

MOST_PEERS, MOST_TYPES = 100, 30
KEPT = "sealed", "key_id"  # of no concern to those who ask who it is


class Outdated(Conflict):
    """It was changed since the caller read it."""


class Change(TypedDict, total=False):
    """What is left out stays as it is."""

    labels: Mapping[str, str | None]  # None takes one away
    peers: Mapping[str, list[str] | None]  # None takes one away
    note: str | None
    address: str | None
    is_dialled: bool


# Workstations.


async def authenticated(conn: Conn, keys: Keys, token: str, name: str) -> Row:
    """The workstation of this name, if this is its token and it may still speak.

    Looked up anew each time: what is revoked, removed or has another key is refused at once.
    """
    row = await station_access.admitted(conn, name)
    if row is None:
        raise unproven()
    key = signing.opened(row, keys.load())
    try:
        audience = at_server(identity.public(key))
        grant = identity.accept(identity.public(key), token, audience, time.time())
    except BadProof as error:
        raise unproven() from error
    if grant.station != name:
        raise Forbidden(
            f"this token is that of {grant.station!r}, not of {name[:70]!r}",
            remedy="a workstation asks for itself alone",
        )
    if row["id"] is None or row["state"] != "ACCEPTED" or row["public_key"] != grant.key:
        raise unproven()
    return {key: value for key, value in row.items() if key not in KEPT}


def unproven() -> Unauthenticated:
    return Unauthenticated(
        "this is no token of a workstation, or it has expired, or its key counts no more",
        remedy="sign a nonce for a new one; `procession edge doctor` says what is wrong",
    )


# People.


async def get(conn: Conn, name: str) -> Row:
    found = await station_access.get(conn, name)
    if found is None:
        raise missing(name)
    return {**found, "fingerprint": identity.fingerprint(found["public_key"])}


async def locked(conn: Conn, name: str) -> Row:
    found = await station_access.lock(conn, name)
    if found is None:
        raise missing(name)
    return found


def missing(name: str) -> NotFound:
    return NotFound(
        f"there is no workstation {name[:70]!r}", remedy="`procession workstation` lists them"
    )


async def change(conn: Conn, name: str, change: Change, *, expected: int | None = None) -> Row:
    async with conn.transaction():
        found = await locked(conn, name)
        if expected not in (None, found["edition"]):
            raise Outdated(f"the workstation {name!r} was changed meanwhile")
        await station_access.change(conn, found["id"], settled(found, change))
        await notify(conn, Wake(queues={f"ws:{name}"}))
    return await get(conn, name)


def settled(found: Row, change: Change) -> Settled:
    labels = {**found["labels"], **change.get("labels", {})}
    peers = {**found["peers"], **change.get("peers", {})}
    address = change.get("address", found["address"])
    is_dialled = change.get("is_dialled", found["is_dialled"])
    if is_dialled and not address:
        raise Invalid(
            "a workstation that the server calls needs an address",
            field="address",
            remedy="give it as wss://HOST:PORT",
        )
    return Settled(
        labels=checked_labels({name: each for name, each in labels.items() if each is not None}),
        peers=checked_peers({name: each for name, each in peers.items() if each}),
        note=change.get("note", found["note"]),
        address=address,
        is_dialled=is_dialled,
    )


def checked_peers(peers: Mapping[str, list[str]]) -> dict[str, list[str]]:
    if len(peers) > MOST_PEERS:
        raise Invalid(f"a workstation may call at most {MOST_PEERS} others", field="peers")
    everywhere = peers.get("*", [])
    return {name: checked_types(name, types, everywhere) for name, types in peers.items()}


def checked_types(peer: str, types: list[str], everywhere: list[str]) -> list[str]:
    if peer != "*":
        places.check_name(peer, "peers")
    if len({*types, *everywhere}) > MOST_TYPES:
        raise Invalid(f"at most {MOST_TYPES} types for each, or `*` for all", field=f"peers.{peer}")
    for each in types:
        if each != "*" and not TYPE_NAME.fullmatch(each):
            raise Invalid(f"{each[:70]!r} is no type: {TYPE_NAME_RULE}", field=f"peers.{peer}")
    return sorted(set(types))


async def label(conn: Conn, name: str, labels: Mapping[str, str | None], *, by: str) -> Row:
    """Labels laid over those that it has; None takes one away."""
    return await change(conn, name, {"labels": labels})


async def accept(conn: Conn, name: str, fingerprint: str | None = None, *, by: str) -> Row:
    """Let a machine in that waits; accepted already is accepted.

    With a fingerprint, only the machine that shows just that one.
    """
    async with conn.transaction():
        found = await locked(conn, name)
        require_fingerprint(found, fingerprint)
        if found["state"] == "REVOKED":
            raise Conflict(
                f"the workstation {name!r} was revoked",
                remedy="let it join again with a new invitation that replaces it",
            )
        await station_access.accept(conn, found["id"], by=by)
    return await get(conn, name)


def require_fingerprint(found: Row, given: str | None) -> None:
    known = identity.fingerprint(found["public_key"])
    if given is not None and given.strip().lower() != known:
        raise Conflict(
            f"the key of {found['name']!r} has the fingerprint {known}, not {given[:60]}",
            field="fingerprint",
            remedy="another machine came first: revoke it, and invite yours again",
        )


async def drain(conn: Conn, name: str, reason: str, *, by: str) -> Row:
    """Give it nothing more; it goes on with what it has, and rests then. It remembers why."""
    if not reason.strip():
        raise Invalid("say why: whoever stands before it wants to know", field="reason")
    async with conn.transaction():
        found = await living(conn, name)
        await station_access.drain(conn, found["id"], reason=reason, by=by)
        await tell(conn, found, "drain", reason, by)
    return await get(conn, name)


async def undrain(conn: Conn, name: str, *, by: str) -> Row:
    async with conn.transaction():
        found = await living(conn, name)
        await station_access.undrain(conn, found["id"])
        await tell(conn, found, "undrain", "", by)
    return await get(conn, name)


async def living(conn: Conn, name: str) -> Row:
    found = await locked(conn, name)
    if found["state"] == "REVOKED":
        raise Conflict(
            f"the workstation {name!r} was revoked", remedy="it gets nothing more in any case"
        )
    return found


async def tell(conn: Conn, found: Row, verb: str, reason: str, by: str) -> None:
    """To whatever claims for it, and to itself."""
    if found["holder"] is not None:
        state = "DRAINING" if verb == "drain" else "ACTIVE"
        await station_access.hold(conn, found["holder"], state)
    await station_access.tell(conn, found["id"], verb, reason=reason, by=by)
    await notify(conn, Wake(wanted=True, queues={f"ws:{found['name']}"}))


async def revoke(conn: Conn, name: str, *, by: str) -> Row:
    """Nothing of it is heard any more: streams end at once. Revoked already is revoked."""
    async with conn.transaction():
        found = await locked(conn, name)
        await station_access.revoke(conn, found["id"], by=by)
    return await get(conn, name)


async def remove(conn: Conn, name: str) -> None:
    """It is gone with all that is known of it; what its runs told stays with them."""
    async with conn.transaction():
        found = await locked(conn, name)
        await require_empty(conn, found)
        await station_access.remove(conn, found["id"])
        if found["holder"] is not None:
            await station_access.retire(conn, found["holder"])


async def require_empty(conn: Conn, found: Row) -> None:
    name = found["name"]
    if count := await station_access.in_hand(conn, found["id"]):
        raise Conflict(
            f"the workstation {name!r} has {count} attempts in hand",
            remedy=f"drain it and wait, or end their runs: `procession runs --workstation {name}`",
        )
    if await station_access.decides(conn, found["id"]):
        raise Conflict(
            f"the workstation {name!r} decides about runs that are not over",
            remedy="wait for them or end them first",
        )
