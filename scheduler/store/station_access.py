"""How workstations come in, and what they may. One function for each statement in
sql/queries/station_access.sql."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

STATION_ACCESS = statements("station_access")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Who may join with it, and how."""

    name: str | None = None  # None: the machine says its own
    labels: Mapping[str, str] = field(default_factory=dict)
    approve: bool = False
    cidr: str | None = None
    uses: int = 1
    replaces: bool = False
    length: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """A machine that comes in."""

    name: str
    state: str
    labels: Mapping[str, str]
    public_key: str
    sealing_key: str
    facts: Mapping[str, Any]
    invitation: int
    source: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What people say of a workstation."""

    labels: Mapping[str, str]
    peers: Mapping[str, list[str]]
    note: str | None
    address: str | None
    is_dialled: bool


async def signing(conn: Conn) -> Row | None:
    return await fetch_row(conn, STATION_ACCESS["signing"])


async def lock_signing(conn: Conn) -> Row | None:
    return await fetch_row(conn, STATION_ACCESS["lock_signing"])


async def sign_with(conn: Conn, *, public_key: str, key: str, sealed: bytes) -> bool:
    made = await fetch_value(
        conn, STATION_ACCESS["sign_with"], public_key=public_key, key=key, sealed=sealed
    )
    return made is not None


async def reseal(conn: Conn, *, key: str, sealed: bytes) -> None:
    await execute(conn, STATION_ACCESS["reseal"], key=key, sealed=sealed)


async def invite(conn: Conn, invitation: Invitation, *, digest: bytes, by: str) -> Row:
    given = {**asdict(invitation), "labels": Jsonb(dict(invitation.labels))}
    made = await fetch_row(conn, STATION_ACCESS["invite"], **given, digest=digest, by=by)
    assert made is not None
    return made


async def invitations(conn: Conn, *, limit: int, after: int | None = None) -> list[Row]:
    return await fetch_rows(conn, STATION_ACCESS["invitations"], limit=limit, after=after)


async def uninvite(conn: Conn, invitation: int) -> bool:
    return await fetch_value(conn, STATION_ACCESS["uninvite"], id=invitation) is not None


async def forget(conn: Conn) -> int:
    return await execute(conn, STATION_ACCESS["forget"])


async def lock_invitation(conn: Conn, digest: bytes, source: str | None) -> Row | None:
    return await fetch_row(conn, STATION_ACCESS["lock_invitation"], digest=digest, source=source)


async def spend(conn: Conn, invitation: int) -> bool:
    return await execute(conn, STATION_ACCESS["spend"], id=invitation) == 1


async def with_key(conn: Conn, public_key: str) -> Row | None:
    return await fetch_row(conn, STATION_ACCESS["with_key"], public_key=public_key)


async def join(conn: Conn, joining: Joining) -> bool:
    return await fetch_value(conn, STATION_ACCESS["join"], **told(joining)) is not None


async def join_again(conn: Conn, joining: Joining) -> bool:
    return await fetch_value(conn, STATION_ACCESS["join_again"], **told(joining)) is not None


def told(joining: Joining) -> dict[str, Any]:
    documents = {"labels": Jsonb(dict(joining.labels)), "facts": Jsonb(dict(joining.facts))}
    return {**asdict(joining), **documents}


async def get(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, STATION_ACCESS["get"], name=name)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: str | None = None,
    state: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> list[Row]:
    wanted = Jsonb(dict(labels)) if labels else None
    return await fetch_rows(
        conn, STATION_ACCESS["page"], limit=limit, after=after, state=state, labels=wanted
    )


async def lock(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, STATION_ACCESS["lock"], name=name)


async def change(conn: Conn, workstation: int, settled: Settled) -> None:
    documents = {"labels": Jsonb(dict(settled.labels)), "peers": Jsonb(dict(settled.peers))}
    given = {**asdict(settled), **documents}
    await execute(conn, STATION_ACCESS["change"], id=workstation, **given)


async def accept(conn: Conn, workstation: int, *, by: str) -> None:
    await execute(conn, STATION_ACCESS["accept"], id=workstation, by=by)


async def revoke(conn: Conn, workstation: int, *, by: str) -> None:
    await execute(conn, STATION_ACCESS["revoke"], id=workstation, by=by)


async def drain(conn: Conn, workstation: int, *, reason: str, by: str) -> None:
    await execute(conn, STATION_ACCESS["drain"], id=workstation, reason=reason, by=by)


async def undrain(conn: Conn, workstation: int) -> None:
    await execute(conn, STATION_ACCESS["undrain"], id=workstation)


async def hold(conn: Conn, holder: int, state: str) -> None:
    await execute(conn, STATION_ACCESS["hold"], holder=holder, state=state)


async def tell(conn: Conn, workstation: int, verb: str, *, reason: str, by: str) -> int:
    command: int = await fetch_value(
        conn, STATION_ACCESS["tell"], workstation=workstation, verb=verb, reason=reason, by=by
    )
    return command


async def in_hand(conn: Conn, workstation: int) -> int:
    count: int = await fetch_value(conn, STATION_ACCESS["in_hand"], id=workstation)
    return count


async def decides(conn: Conn, workstation: int) -> bool:
    return await fetch_value(conn, STATION_ACCESS["decides"], id=workstation) is not None


async def remove(conn: Conn, workstation: int) -> None:
    await execute(conn, STATION_ACCESS["remove"], id=workstation)


async def retire(conn: Conn, holder: int) -> None:
    await execute(conn, STATION_ACCESS["retire"], holder=holder)


async def use_nonce(conn: Conn, digest: bytes, workstation: int, *, until: float) -> bool:
    used = await fetch_value(
        conn, STATION_ACCESS["use_nonce"], digest=digest, workstation=workstation, until=until
    )
    return used is not None


async def admitted(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, STATION_ACCESS["admitted"], name=name)


async def rotate(conn: Conn, workstation: int, *, public_key: str, successor: str) -> bool:
    changed = await fetch_value(
        conn,
        STATION_ACCESS["rotate"],
        id=workstation,
        public_key=public_key,
        successor=successor,
    )
    return changed is not None


async def directory(conn: Conn, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, STATION_ACCESS["directory"], limit=limit)
