"""Retention: what is removed when, and the hourly counts that stay longer."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, field_validator

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.lengths import Length
from scheduler.api.pages import Limit
from scheduler.api.state import By, Conn
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid
from scheduler.services import chores, retention
from scheduler.store import retention as stored
from scheduler.store import rollups

router = APIRouter(prefix="/retention", tags=["retention"], route_class=GuardedRoute)

BIG = 2**63 - 1
Final = Literal["COMPLETED", "FAILED", "STOPPED"]
What = Literal["ticks", "rollups", "audit"]
Id = Annotated[int, Path(alias="rule", ge=1, le=BIG)]
LONGEST = timedelta(days=36_500)


def length(value: object, least: timedelta) -> object:
    if value is None:
        return None
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("a length of time, such as 30d")
    try:
        found = parse_duration(value)
    except Invalid as fault:
        raise ValueError(str(fault)) from None
    if not least <= found <= LONGEST:
        raise ValueError(f"between {least} and {LONGEST.days} days")
    return found


class PutRule(BaseModel, extra="forbid"):
    type: str | None = Field(default=None, max_length=63, description="Null: all other types.")
    status: Final
    keep_for: timedelta = Field(description="After the end of a run, such as `30d`.")
    keep_last: int | None = Field(
        default=None, ge=1, le=1_000_000, description="So many of the newest stay, however old."
    )

    @field_validator("keep_for", mode="before")
    @classmethod
    def _keep_for(cls, value: object) -> object:
        return length(value, timedelta(minutes=1))


class Rule(BaseModel):
    id: int
    type: str | None
    status: Final = Field(validation_alias="state")
    keep_for: Length
    keep_last: int | None
    updated_at: datetime
    updated_by: str


class KeepDetails(BaseModel, extra="forbid"):
    keep_for: timedelta | None = Field(description="At least `2d`; null: for ever.")

    @field_validator("keep_for", mode="before")
    @classmethod
    def _keep_for(cls, value: object) -> object:
        return length(value, timedelta(days=2))


class Details(BaseModel):
    """Attempts, history and output."""

    keep_for: Length | None = None
    updated_at: datetime | None = None
    updated_by: str | None = None


class KeepTerm(BaseModel, extra="forbid"):
    keep_for: timedelta | None = Field(
        description="At least `7d`, of the audit log `30d`; null: for ever."
    )

    @field_validator("keep_for", mode="before")
    @classmethod
    def _keep_for(cls, value: object) -> object:
        return length(value, timedelta(days=7))


class Term(BaseModel):
    """For how long something is kept that grows with time."""

    what: What
    keep_for: Length | None
    updated_at: datetime
    updated_by: str


class Retention(BaseModel):
    rules: list[Rule]
    details: Details
    terms: list[Term]


class Begun(BaseModel):
    chore: int


class Rollup(BaseModel):
    hour: datetime
    type: str
    status: Final = Field(validation_alias="state")
    runs: int
    seconds: float = Field(description="That all of them took together.")
    p50: float | None
    p95: float | None


class Rollups(BaseModel):
    items: list[Rollup]


@router.get("", responses=problems())
async def get_retention(conn: Conn) -> Retention:
    """Show what is removed when. Without a rule no run is."""
    rows = await stored.rules(conn)
    details: dict[str, Any] = await stored.details(conn) or {}
    return Retention(
        rules=[Rule.model_validate(row) for row in rows],
        details=Details(**details),
        terms=[Term.model_validate(row) for row in await stored.terms(conn)],
    )


@router.put("/rules", responses=problems(404, 422))
async def put_retention_rule(wish: PutRule, conn: Conn, by: By) -> Rule:
    """Say how long runs of a type, or of all others, are kept after they ended so."""
    row = await retention.put(
        conn,
        type=wish.type,
        state=wish.status,
        keep_for=wish.keep_for,
        keep_last=wish.keep_last,
        by=by,
    )
    return Rule.model_validate(row)


@router.delete("/rules/{rule}", status_code=204, responses=problems(404, 422))
async def delete_retention_rule(rule: Id, conn: Conn) -> None:
    """Remove nothing any more by this rule."""
    await retention.delete(conn, rule)


@router.put("/details", responses=problems(422))
async def keep_details(wish: KeepDetails, conn: Conn, by: By) -> Details:
    """Say how long attempts, history and output are kept, in whole days."""
    await stored.keep_details(conn, wish.keep_for, by=by)
    return Details(**(await stored.details(conn) or {}))


@router.put("/terms/{what}", responses=problems(422))
async def keep_term(what: What, wish: KeepTerm, conn: Conn, by: By) -> Term:
    """Say how long ticks of schedules, hourly counts or the audit log are kept."""
    return Term.model_validate(await retention.keep(conn, what, wish.keep_for, by=by))


@router.post("/run", responses=problems())
async def run_retention(conn: Conn) -> Begun:
    """Remove now what is kept no longer; it is done every hour anyway."""
    async with conn.transaction():
        return Begun(chore=await chores.defer(conn, "retention", lock="retention"))


@router.get("/rollups", responses=problems(422))
async def list_rollups(
    conn: Conn,
    type: Annotated[str | None, Query(max_length=63)] = None,
    since: datetime | None = None,
    limit: Limit = 200,
) -> Rollups:
    """Count the runs that began in each hour, the newest first; they outlive the runs."""
    since = since or datetime.now(UTC) - timedelta(days=7)
    if since.tzinfo is None:
        raise Invalid("this time has no zone", field="since", remedy="add Z or +02:00")
    rows = await rollups.page(conn, since=since, type=type, limit=limit)
    return Rollups(items=[Rollup.model_validate(row) for row in rows])
