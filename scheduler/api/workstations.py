"""Workstations: machines that carry tasks out by themselves. What people do with them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field, field_validator

from edge import identity
from scheduler.api import editions, pages
from scheduler.api.access import GuardedRoute, keys_of
from scheduler.api.documents import problems
from scheduler.api.editions import IfMatch, Outdated
from scheduler.api.models import Inward, Note, Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.joining import join_command
from scheduler.services import enrolment, workstations
from scheduler.services.workstations import Change
from scheduler.store import station_access
from scheduler.store.rows import Row
from scheduler.store.station_access import Invitation as Wish

router = APIRouter(tags=["workstations"], route_class=GuardedRoute)

Id = Annotated[str, Path(alias="workstation", min_length=1, max_length=63, examples=["saw-1"])]
InvitationId = Annotated[int, Path(alias="invitation", ge=1, le=2**63 - 1)]
StationName = Annotated[str, Field(min_length=1, max_length=63, examples=["saw-1"])]
Word = Annotated[str, Field(min_length=1, max_length=63)]
Labels = Annotated[dict[Word, Word], Field(max_length=32, examples=[{"line": "2"}])]
LabelChanges = Annotated[
    dict[Word, Word | None], Field(max_length=32, examples=[{"line": "2", "hall": None}])
]
Peers = Annotated[
    dict[Word, Annotated[list[Word], Field(max_length=workstations.MOST_TYPES)] | None],
    Field(
        max_length=workstations.MOST_PEERS,
        description="Which types it may start at which workstations; `*` stands for all, null takes"
        " one away.",
        examples=[{"press-1": ["pressing"]}],
    ),
]
Address = Annotated[
    str,
    Field(
        max_length=300,
        pattern=r"^(wss|ws)://[^\s/?#@]+(/[^\s?#]*)?$",
        description="Where it listens, for its peers and for a server that calls it.",
        examples=["wss://saw-1.hall.example:8443"],
    ),
]
Duration = Annotated[str, Field(max_length=40, examples=["15m"])]
Seen = Literal["PENDING", "REVOKED", "OFFLINE", "LATE", "DRAINING", "ONLINE"]


class Invite(Inward):
    """Who may join, and how."""

    name: StationName | None = Field(
        default=None, description="Left out, each machine takes the name of its host."
    )
    labels: Labels = Field(default_factory=dict)
    approve: bool = Field(default=False, description="Whoever joins waits to be accepted.")
    count: int = Field(default=1, ge=1, le=1000, description="How many machines.")
    expires: Duration = Field(default="15m", description="1m to 24h.")
    cidr: Annotated[str, Field(max_length=50, examples=["10.20.0.0/16"])] | None = Field(
        default=None, description="The network that machines must come from."
    )
    replace: bool = Field(
        default=False,
        description="The machine takes the place of the workstation that has the name.",
    )

    def wish(self) -> Wish:
        return Wish(
            name=self.name,
            labels=self.labels,
            approve=self.approve,
            cidr=self.cidr,
            uses=self.count,
            replaces=self.replace,
            length=length_of(self.expires),
        )


def length_of(given: str) -> timedelta:
    try:
        return parse_duration(given)
    except Invalid as error:
        raise Invalid(str(error), field="expires") from None


class Invitation(Outward):
    """A word that lets machines in."""

    id: int
    name: str | None = Field(description="Null: each machine takes that of its host.")
    labels: dict[str, str]
    approve: bool
    cidr: str | None
    count: int = Field(validation_alias="uses", description="How many may still come.")
    replace: bool = Field(validation_alias="replaces")
    expires_at: Time
    created_at: Time
    created_by: str


class Invited(Outward):
    """What a machine joins with."""

    id: int
    token: str = Field(description="Shown now and never again.")
    expires_at: Time
    join: str = Field(
        description="The line for the machine. The token stands in no argument of a program there.",
        examples=["echo pn_join_… | procession edge join https://procession.example -"],
    )


class ChangeWorkstation(Inward):
    """What is left out stays as it is."""

    labels: LabelChanges | None = Field(default=None, description="Null takes one away.")
    peers: Peers | None = None
    note: Note | None = Field(default=None, description="Null takes it away.")
    address: Address | None = Field(default=None, description="Null takes it away.")
    is_dialled: bool | None = Field(
        default=None, description="The server calls it at its address, not it the server."
    )


class AcceptWorkstation(Inward):
    fingerprint: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="As the machine shows it: another one is not accepted."
    )


class DrainWorkstation(Inward):
    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["the blade is worn"])]


class Workstation(Outward):
    """A machine that carries tasks out by itself, whether or not the server is in reach."""

    name: str
    state: Literal["PENDING", "ACCEPTED", "REVOKED"]
    seen: Seen = Field(description="How it is, in a word.")
    labels: dict[str, str] = Field(description="As people gave them.")
    told_labels: dict[str, Any] = Field(description="As it gives them itself; people's count.")
    peers: dict[str, list[str]]
    note: str | None
    fingerprint: str = Field(description="Of its key; the machine shows the same.")
    address: str | None
    is_dialled: bool
    unreached: str | None = Field(
        description="Why a server that calls it did not reach it; null once one has."
    )
    slots: int
    in_hand: int = Field(description="How many attempts it has.")
    version: str
    facts: dict[str, Any]
    policy: dict[str, Any] = Field(description="What its owner allows there.")
    carrier: str | None
    connected_at: Time | None
    heard_at: Time | None
    skew: float | None = Field(description="Seconds that its clock is ahead of ours.")
    draining: bool
    told_drain: bool = Field(description="It says itself that it takes nothing new.")
    unfit: str | None = Field(
        description="Why its agent is given nothing new, if its version is not one that may be."
    )
    drain_reason: str | None
    drained_by: str | None
    drained_at: Time | None
    source: str | None = Field(description="The address that it joined from.")
    joined_at: Time | None
    key_since: Time
    created_at: Time
    created_by: str
    accepted_at: Time | None
    accepted_by: str | None
    revoked_at: Time | None
    revoked_by: str | None

    @field_validator("facts", "policy", "told_labels", mode="before")
    @classmethod
    def without_more(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {}


def shown(row: Row) -> Workstation:
    return Workstation.model_validate(
        {"fingerprint": identity.fingerprint(row["public_key"]), **row}
    )


def labelled(row: Row, response: Response) -> Workstation:
    found = shown(row)
    response.headers["ETag"] = editions.tag(row["edition"], found)
    return found


# Invitations.


@router.post("/workstations", status_code=201, responses=problems(409, 413, 422))
async def invite_workstation(wish: Invite, conn: Conn, by: By, request: Request) -> Invited:
    """Make a word that lets machines in, few of them and not for long."""
    made = await enrolment.invite(conn, keys_of(request), wish.wish(), by=by)
    line = join_command(str(request.base_url), made.token)
    return Invited(id=made.id, token=made.token, expires_at=made.expires_at, join=line)


@router.get("/workstation-invitations", responses=problems(422))
async def list_workstation_invitations(
    conn: Conn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Invitation]:
    """List invitations that are good, the newest first."""
    after = pages.decode(cursor, pages.big_number)
    rows = await station_access.invitations(conn, limit=limit + 1, after=after)
    return pages.page_of(rows, limit, "id", Invitation.model_validate)


@router.delete(
    "/workstation-invitations/{invitation}", status_code=204, responses=problems(404, 422)
)
async def withdraw_workstation_invitation(invitation: InvitationId, conn: Conn) -> None:
    """Take an invitation back; who joined with it stays."""
    await enrolment.uninvite(conn, invitation)


# Workstations.


@router.get("/workstations", responses=problems(422))
async def list_workstations(
    conn: Conn,
    seen: Seen | None = None,
    label: Annotated[
        list[Annotated[str, Field(max_length=130)]] | None,
        Query(max_length=8, description="`name=value`; repeated, all of them."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Workstation]:
    """List workstations in the order of their names."""
    rows = await station_access.page(
        conn,
        state=seen,
        labels=labels_of(label or ()),
        after=pages.decode(cursor, pages.text),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "name", shown)


def labels_of(given: list[str] | tuple[str, ...]) -> Mapping[str, str]:
    found = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or "\0" in each:
            raise Invalid(f"{each[:70]!r} is no label", field="label", remedy="write name=value")
        found[name] = value
    return found


@router.get("/workstations/{workstation}", response_model=Workstation, responses=problems(404, 422))
async def get_workstation(
    workstation: Id, conn: Conn, request: Request, response: Response
) -> Workstation | Response:
    """Show a workstation; 304 if `If-None-Match` names what is there."""
    row = await workstations.get(conn, workstation)
    found = shown(row)
    if editions.label(request, response, row["edition"], found):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return found


@router.patch("/workstations/{workstation}", responses=problems(404, 409, 412, 413, 422))
async def change_workstation(
    workstation: Id,
    wish: ChangeWorkstation,
    conn: Conn,
    response: Response,
    if_match: IfMatch = None,
) -> Workstation:
    """Change labels, which types it may start at whom, its note, or where it is called."""
    wanted = editions.expected(if_match)
    try:
        row = await workstations.change(conn, workstation, given(wish), expected=wanted)
    except workstations.Outdated as outdated:
        raise Outdated(str(outdated), remedy="read it again and repeat the change") from outdated
    return labelled(row, response)


def given(wish: ChangeWorkstation) -> Change:
    nullable = ("note", "address")
    values = wish.model_dump(exclude_unset=True).items()
    return cast(
        "Change", {name: value for name, value in values if value is not None or name in nullable}
    )


@router.post("/workstations/{workstation}/accept", responses=problems(404, 409, 422))
async def accept_workstation(
    workstation: Id,
    conn: Conn,
    by: By,
    response: Response,
    wish: AcceptWorkstation | None = None,
) -> Workstation:
    """Let a machine in that waits, after a look at the fingerprint on both sides."""
    fingerprint = wish.fingerprint if wish else None
    return labelled(await workstations.accept(conn, workstation, fingerprint, by=by), response)


@router.post("/workstations/{workstation}/drain", responses=problems(404, 409, 422))
async def drain_workstation(
    workstation: Id, wish: DrainWorkstation, conn: Conn, by: By, response: Response
) -> Workstation:
    """Give it nothing more; it goes on with what it has and rests then, also after a start of
    either side. The reason is shown there."""
    return labelled(await workstations.drain(conn, workstation, wish.reason, by=by), response)


@router.post("/workstations/{workstation}/undrain", responses=problems(404, 409, 422))
async def undrain_workstation(
    workstation: Id, conn: Conn, by: By, response: Response
) -> Workstation:
    """Let it take work again."""
    return labelled(await workstations.undrain(conn, workstation, by=by), response)


@router.post("/workstations/{workstation}/revoke", responses=problems(404, 422))
async def revoke_workstation(
    workstation: Id, conn: Conn, by: By, response: Response
) -> Workstation:
    """Hear nothing of it any more: its tokens are worthless and its connections end at once. What
    it has in hand is lost when its time is up."""
    return labelled(await workstations.revoke(conn, workstation, by=by), response)


@router.delete("/workstations/{workstation}", status_code=204, responses=problems(404, 409, 422))
async def remove_workstation(workstation: Id, conn: Conn) -> None:
    """Forget a workstation that has nothing in hand; what its runs told stays with them."""
    await workstations.remove(conn, workstation)
