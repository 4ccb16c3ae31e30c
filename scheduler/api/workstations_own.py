"""What a workstation asks for itself: to join, to prove who it is, to speak with its peers.

But for joining and proving, which stand for themselves, each asks with its own token, for its own
name, and reaches nothing else.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field, field_validator

from edge import identity
from scheduler.api.access import GuardedRoute, keys_of, source_of, workstation_of
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.state import Conn, TheServer
from scheduler.api.workstations import Id, StationName, Word
from scheduler.services import enrolment, signing, station_tokens, workstations
from scheduler.services.enrolment import Machine
from scheduler.store import station_access
from scheduler.store.rows import Row

router = APIRouter(prefix="/workstations", tags=["workstations"], route_class=GuardedRoute)

LARGEST_FACTS = 16 << 10
Key = Annotated[
    str, Field(min_length=43, max_length=43, description="32 bytes in Base64 for addresses.")
]
Proof = Annotated[str, Field(min_length=1, max_length=200)]


async def the_workstation(request: Request) -> Row:
    return workstation_of(request)


TheWorkstation = Annotated[Row, Depends(the_workstation)]


class Enrol(Inward):
    """A machine that comes with a word, and what it says of itself."""

    token: Annotated[str, Field(min_length=1, max_length=200, examples=["pn_join_…"])]
    public_key: Key = Field(description="Ed25519: it proves itself with it from now on.")
    sealing_key: Key = Field(description="X25519: secrets are sealed to it.")
    name: StationName | None = Field(
        default=None, description="Left out, as the invitation says, else that of the host."
    )
    hostname: Annotated[str, Field(min_length=1, max_length=253)]
    machine_id: Annotated[str, Field(max_length=64)] = ""
    facts: Annotated[dict[str, Any], Field(max_length=100)] = Field(
        default_factory=dict, description="At most 16 KiB."
    )

    @field_validator("facts")
    @classmethod
    def short(cls, facts: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(facts)) > LARGEST_FACTS:
            raise ValueError(f"Input should have at most {LARGEST_FACTS} bytes as JSON")
        return facts


class Enrolled(Outward):
    name: str
    state: str = Field(description="PENDING until somebody accepts it, else ACCEPTED.")
    fingerprint: str = Field(description="Of its key; people see the same.")
    server_key: str = Field(description="Ed25519: what the server signs is checked with it.")


class Nonce(Outward):
    nonce: str
    expires_at: Time


class AskToken(Inward):
    nonce: Annotated[str, Field(min_length=1, max_length=200)]
    proof: Proof = Field(description="The nonce, signed for this server.")


class StationToken(Outward):
    token: str
    expires_at: Time
    server_key: str


class Rotate(Inward):
    successor: Key
    proof: Proof = Field(description="The successor, signed with the key that counts now.")


class Rotated(Outward):
    fingerprint: str = Field(description="Of the key that counts from now on.")
    server_key: str


class Peer(Outward):
    """A workstation that can be called."""

    name: str
    address: str
    public_key: str
    fingerprint: str
    types: list[str] = Field(description="What may be started there by whoever asks; `*` for all.")
    labels: dict[str, Any]
    hostname: str | None
    certificate: str | None


class Peers(Outward):
    items: list[Peer]
    server_key: str


class AskGrant(Inward):
    peer: StationName
    types: Annotated[list[Word], Field(min_length=1, max_length=workstations.MOST_TYPES)]


@router.post("/enrol", responses=problems(409, 413, 422, 429))
async def enrol_workstation(
    wish: Enrol, conn: Conn, request: Request, server: TheServer
) -> Enrolled:
    """Join with an invitation, which stands for whoever asks. The same machine that asks again
    with the same invitation is answered the same."""
    machine = Machine(**wish.model_dump())
    source, settings = source_of(request), server.settings.sign_in
    found = await enrolment.enrol(conn, keys_of(request), machine, source=source, settings=settings)
    return Enrolled.model_validate(found, from_attributes=True)


@router.post("/{workstation}/nonce", responses=problems(422, 429))
async def make_workstation_nonce(
    workstation: Id, conn: Conn, request: Request, server: TheServer
) -> Nonce:
    """Get something to sign, good for a minute and for once."""
    nonce, expires_at = await station_tokens.nonce(
        conn,
        keys_of(request),
        workstation,
        source=source_of(request),
        settings=server.settings.sign_in,
    )
    return Nonce(nonce=nonce, expires_at=expires_at)


@router.post("/{workstation}/token", responses=problems(409, 413, 422, 429))
async def make_workstation_token(
    workstation: Id, wish: AskToken, conn: Conn, request: Request, server: TheServer
) -> StationToken:
    """Get a token for half an hour, for a nonce that the workstation's key has signed."""
    found = await station_tokens.token(
        conn,
        keys_of(request),
        workstation,
        wish.nonce,
        wish.proof,
        source=source_of(request),
        settings=server.settings.sign_in,
    )
    return StationToken.model_validate(found, from_attributes=True)


@router.post("/{workstation}/key", responses=problems(404, 409, 413, 422))
async def rotate_workstation_key(
    workstation: Id, wish: Rotate, conn: Conn, request: Request, mine: TheWorkstation
) -> Rotated:
    """Take another key, which the one before has signed. Tokens of the one before are worthless
    from now on; asked again, it is answered the same."""
    mark = await station_tokens.rotate(conn, mine, wish.successor, wish.proof)
    return Rotated(fingerprint=mark, server_key=await server_key(conn, request))


@router.get("/{workstation}/peers", responses=problems(404, 422))
async def list_workstation_peers(
    workstation: Id, conn: Conn, request: Request, mine: TheWorkstation
) -> Peers:
    """List the workstations that can be called, and what to know them by."""
    rows = await station_access.directory(conn, limit=station_tokens.MOST_PEERS)
    items = [peer_of(row, mine) for row in rows if row["name"] != mine["name"]]
    return Peers(items=items, server_key=await server_key(conn, request))


def peer_of(row: Row, mine: Row) -> Peer:
    mark = identity.fingerprint(row["public_key"])
    types = station_tokens.allowed_types(mine, row["name"])
    return Peer.model_validate({**row, "fingerprint": mark, "types": types})


@router.post("/{workstation}/grants", responses=problems(404, 413, 422))
async def grant_workstation_peer(
    workstation: Id,
    wish: AskGrant,
    conn: Conn,
    request: Request,
    server: TheServer,
    mine: TheWorkstation,
) -> StationToken:
    """Get a token for another workstation, to start these types there for a day, or for as long as
    the server's settings say. It is checked there without the server."""
    lasts = server.settings.workstations.grants_last
    found = await station_tokens.grant(conn, keys_of(request), mine, wish.peer, wish.types, lasts)
    return StationToken.model_validate(found, from_attributes=True)


async def server_key(conn: Conn, request: Request) -> str:
    return identity.public(await signing.key(conn, keys_of(request)))
