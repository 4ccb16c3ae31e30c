"""How machines become workstations: a person invites, the machine comes with the word and its key.

The word is shown once and only its digest is kept. It is good for few machines and not for long.
A machine whose answer was lost asks again with the same word and the same key, and is answered the
same: nothing is used up twice.
"""

import ipaddress
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from edge import identity, sealing
from edge.identity import BadProof
from edge.sealing import BadSeal
from scheduler.domain import places
from scheduler.domain.durations import format_duration
from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound
from scheduler.services import signing, tries
from scheduler.services.access import digest
from scheduler.services.keyring import Keys
from scheduler.services.sessions import network_of, printable
from scheduler.settings import SignInSettings
from scheduler.store import audit, station_access
from scheduler.store.audit import Actor
from scheduler.store.rows import Row
from scheduler.store.station_access import Invitation, Joining

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]

WORD = "pn_join_"
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=24)
MOST = 1_000  # machines that come with one word
MOST_LABELS = 32
ASK = "ask for another: `procession workstation add`"


@dataclass(frozen=True, slots=True)
class Invited:
    id: int
    token: str  # in clear text: nobody can read it again
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine says of itself when it comes."""

    token: str
    public_key: str
    sealing_key: str
    hostname: str
    machine_id: str = ""
    name: str | None = None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Enrolled:
    name: str
    state: str
    fingerprint: str
    server_key: str


# What people do.


async def invite(conn: Conn, keys: Keys, wish: Invitation, *, by: str) -> Invited:
    """A word that lets machines in. What signs for them is there before the first one comes."""
    wish = checked(wish)
    await signing.key(conn, keys)
    if wish.name is not None and not wish.replaces:
        await require_free(conn, wish.name)
    token = WORD + secrets.token_urlsafe(32)
    made = await station_access.invite(conn, wish, digest=digest(token), by=by)
    return Invited(made["id"], token, made["expires_at"])


def checked(wish: Invitation) -> Invitation:
    if not SHORTEST <= wish.length <= LONGEST:
        raise Invalid(
            f"an invitation is good for 1m to 24h, not for {format_duration(wish.length)}",
            field="expires",
        )
    if not 1 <= wish.uses <= MOST:
        raise Invalid(f"an invitation is good for 1 to {MOST} machines", field="count")
    if wish.name is not None:
        places.check_name(wish.name, "name")
        require_one(wish)
    elif wish.replaces:
        raise Invalid("say which workstation is replaced", field="name")
    return replace(wish, labels=checked_labels(wish.labels), cidr=network(wish.cidr))


def require_one(wish: Invitation) -> None:
    if wish.uses != 1:
        raise Invalid(
            f"{wish.uses} machines cannot all be called {wish.name!r}",
            field="count",
            remedy="leave the name out: each machine then takes that of its host",
        )


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) > MOST_LABELS:
        raise Invalid(f"a workstation has at most {MOST_LABELS} labels", field="labels")
    return places.check_labels(labels, "labels")


def network(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return str(ipaddress.ip_network(given))
    except ValueError:
        raise Invalid(
            f"{given[:60]!r} is no network", field="cidr", remedy="write it as 10.20.0.0/16"
        ) from None


async def require_free(conn: Conn, name: str) -> None:
    if await station_access.get(conn, name) is not None:
        raise Conflict(
            f"there is a workstation {name!r} already",
            field="name",
            remedy="take another name, or say that the new machine replaces it (--replace)",
        )


async def uninvite(conn: Conn, invitation: int) -> None:
    if not await station_access.uninvite(conn, invitation):
        raise NotFound(
            f"there is no invitation {invitation}",
            remedy="`procession workstation invitations` lists them",
        )


# What machines do.


async def enrol(
    conn: Conn, keys: Keys, machine: Machine, *, source: str, settings: SignInSettings
) -> Enrolled:
    """Let a machine in that has the word for it, or answer once more how it was let in."""
    check_keys(machine)
    await station_access.forget(conn)

    async def look() -> Row:
        return await joined(conn, machine, source)

    found = await tries.counted(conn, f"joining from {network_of(source)}", settings, look)
    server_key = identity.public(await signing.key(conn, keys))
    fingerprint = identity.fingerprint(machine.public_key)
    return Enrolled(found["name"], found["state"], fingerprint, server_key)


def check_keys(machine: Machine) -> None:
    try:
        identity.read_public(machine.public_key)
    except BadProof as error:
        raise Invalid(f"{error}: an Ed25519 key is due", field="public_key") from None
    try:
        sealing.seal(machine.sealing_key, b"", "")  # some keys agree with everybody
    except (BadProof, BadSeal) as error:
        raise Invalid(f"{error}: an X25519 key is due", field="sealing_key") from None


async def joined(conn: Conn, machine: Machine, source: str) -> Row:
    async with conn.transaction():
        invitation = await station_access.lock_invitation(
            conn, digest(machine.token), address_of(source)
        )
        if invitation is None:
            log.warning("invitation refused", extra={"source": source})
            raise Forbidden("this invitation is not known", field="token", remedy=ASK)
        known = await station_access.with_key(conn, machine.public_key)
        if known is not None and known["invitation"] == invitation["id"]:
            return known
        require_good(invitation, source)
        name = name_for(machine, invitation)
        require_own_key(known, name, invitation)
        return await let_in(conn, machine, invitation, name, source)


def require_good(invitation: Row, source: str) -> None:
    if invitation["is_over"]:
        raise Forbidden("this invitation has expired", field="token", remedy=ASK)
    if invitation["uses"] == 0:
        raise Forbidden("this invitation was used already", field="token", remedy=ASK)
    if not invitation["is_near"]:
        raise Forbidden(
            f"this invitation is for machines in {invitation['cidr']}, and you come from {source}",
            field="token",
            remedy="ask for one that is good for your network (--cidr)",
        )


def name_for(machine: Machine, invitation: Row) -> str:
    bound = invitation["name"]
    if bound is not None:
        if machine.name not in (None, bound):
            raise Forbidden(f"this invitation is for {bound!r} alone", field="name", remedy=ASK)
        return str(bound)
    try:
        return places.check_name(machine.name or name_of(machine.hostname), "name")
    except Invalid as error:
        raise Invalid(str(error), field="name", remedy="join with another name (--name)") from None


def name_of(hostname: str) -> str:
    """The host's own, as far as it can be a workstation's."""
    first = hostname.partition(".")[0].lower()
    return re.sub(r"[^a-z0-9_-]+", "-", first).strip("-_")[:63]


def require_own_key(known: Row | None, name: str, invitation: Row) -> None:
    """A disk that was copied brings the key of the machine that it was copied from."""
    if known is None or (invitation["replaces"] and known["name"] == name):
        return
    raise Conflict(
        f"this key is that of the workstation {known['name']!r}: was its disk copied?",
        field="public_key",
        remedy="remove key.pem and sealing.pem from its state folder and join again",
    )


async def let_in(conn: Conn, machine: Machine, invitation: Row, name: str, source: str) -> Row:
    by = str(invitation["created_by"])
    actor = Actor(f"invitation of {by}", None, source, "enrol_workstation")
    await audit.act_as(conn, actor)
    joining = Joining(
        name=name,
        state="PENDING" if invitation["approve"] else "ACCEPTED",
        labels=invitation["labels"],
        public_key=machine.public_key,
        sealing_key=machine.sealing_key,
        facts={**machine.facts, **told_of(machine)},
        invitation=invitation["id"],
        source=source,
        by=by,
    )
    if not await come_in(conn, joining, replaces=invitation["replaces"]):
        raise Conflict(
            f"there is a workstation {name!r} already",
            field="name",
            remedy="join with another name (--name), or ask for an invitation that replaces it",
        )
    await station_access.spend(conn, invitation["id"])
    log.info("workstation joined", extra={"workstation": name, "source": source})
    return {"name": name, "state": joining.state}


async def come_in(conn: Conn, joining: Joining, *, replaces: bool) -> bool:
    if replaces and await station_access.join_again(conn, joining):
        return True
    return await station_access.join(conn, joining)


def told_of(machine: Machine) -> dict[str, str]:
    return {
        "hostname": printable(machine.hostname)[:253],
        "machine_id": printable(machine.machine_id)[:64],
    }


def address_of(source: str) -> str | None:
    """As PostgreSQL reads it; None for what is no address."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
