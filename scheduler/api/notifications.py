"""Notifications: rules, channels, what was found, and whether it reached anybody."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator

from executor.http_invocation import Malformed, read_url
from scheduler.api import editions, pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.editions import IfMatch, Outdated
from scheduler.api.lengths import Length
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.names import TYPE_NAME
from scheduler.services import notifications
from scheduler.store import notifications as stored

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=GuardedRoute)

T = TypeVar("T", "Channel", "Rule")
BIG = 2**63 - 1
NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
ADDRESS = r"^[^@\s,<>\"\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,253}$"
Name = Annotated[str, Path(pattern=NAME)]
Id = Annotated[int, Path(ge=1, le=BIG)]
Event = Literal[
    "failed",
    "failed_often",
    "late",
    "missed",
    "longer",
    "approval",
    "dead_letters",
    "cloned",
    "unreachable",
]


class Webhook(BaseModel, extra="forbid"):
    url: str = Field(max_length=2000)
    allow_private: bool = Field(
        default=False, description="Also to networks that the server's owner allows."
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            read_url(value)
        except Malformed as fault:
            raise ValueError(str(fault)) from None
        return value


class Email(BaseModel, extra="forbid"):
    to: list[Annotated[str, Field(pattern=ADDRESS)]] = Field(min_length=1, max_length=50)


class StartedRun(BaseModel, extra="forbid"):
    type: str = Field(
        pattern=f"^{TYPE_NAME.pattern}$", description="Started with the input `notification`."
    )


class ReplaceChannel(BaseModel, extra="forbid"):
    """Exactly one of `webhook`, `email` and `run`."""

    webhook: Webhook | None = None
    email: Email | None = None
    run: StartedRun | None = None
    secret: str | None = Field(
        default=None, max_length=128, description="The name of the secret that signs webhooks."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.webhook, self.email, self.run)) != 1:
            raise ValueError("give exactly one of webhook, email and run")
        if self.secret is not None and self.webhook is None:
            raise ValueError("only webhooks are signed with a secret")
        return self


class CreateChannel(ReplaceChannel):
    name: str = Field(pattern=NAME)


class Channel(BaseModel):
    name: str
    kind: str
    config: dict[str, Any]
    secret: str | None
    version: int
    failures: int = Field(description="In a row.")
    open_until: datetime | None = Field(description="Left alone until then.")
    created_at: datetime
    created_by: str
    updated_at: datetime


class Channels(BaseModel):
    items: list[Channel]


class ReplaceRule(BaseModel, extra="forbid"):
    event: Event
    type: str | None = Field(default=None, max_length=63, description="Only of this type.")
    count: int = Field(default=1, ge=1, le=1_000_000, description="So many, at least.")
    of_last: int = Field(default=10, ge=1, le=1000, description="Of so many runs of the type.")
    factor: float = Field(default=2, gt=0, le=1000, description="Times the usual p95.")
    after: timedelta = timedelta(minutes=5)
    quiet: timedelta = timedelta(minutes=10)
    most_a_day: int = Field(default=100, ge=1, le=100_000)
    channels: list[Annotated[str, Field(pattern=NAME)]] = Field(min_length=1, max_length=20)

    @field_validator("after", "quiet", mode="before")
    @classmethod
    def _length(cls, value: object) -> object:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return value
        try:
            found = parse_duration(value)
        except Invalid as fault:
            raise ValueError(str(fault)) from None
        if not timedelta(0) <= found <= timedelta(days=365):
            raise ValueError("at most 365 days")
        return found


class CreateRule(ReplaceRule):
    name: str = Field(pattern=NAME)


class Rule(BaseModel):
    name: str
    event: str
    type: str | None
    count: int
    of_last: int
    factor: float
    after: Length
    quiet: Length
    most_a_day: int
    channels: list[str]
    snoozed_until: datetime | None
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime


class Rules(BaseModel):
    items: list[Rule]


class Snooze(BaseModel, extra="forbid"):
    until: AwareDatetime


class Notification(BaseModel):
    id: int
    rule: str
    event: str
    subject: str
    data: dict[str, Any]
    at: datetime
    silent: str | None = Field(description="Why nobody was told: snoozed, quiet, too many.")
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class Delivery(BaseModel):
    id: int
    notification: int
    rule: str
    subject: str
    channel: str
    status: str
    attempts: int
    next_at: datetime | None
    answer: str | None
    error: str | None
    tried_at: datetime | None
    delivered_at: datetime | None


def labelled(response: Response, shown: T) -> T:
    response.headers["ETag"] = editions.tag(shown.version, shown)
    return shown


@contextmanager
def told_apart() -> Iterator[None]:
    """What was changed since it was read is a precondition that failed, not a clash."""
    try:
        yield
    except notifications.Outdated as outdated:
        raise Outdated(str(outdated), remedy=outdated.remedy) from outdated


@router.post("/channels", status_code=201, responses=problems(409, 413, 422))
async def create_notification_channel(
    wish: CreateChannel, conn: Conn, by: By, response: Response
) -> Channel:
    """Make a channel: a signed webhook, e-mail, or a run of a type."""
    row = await notifications.create_channel(conn, wish.model_dump(exclude_none=True), by=by)
    return labelled(response, Channel.model_validate(row))


@router.get("/channels", responses=problems())
async def list_notification_channels(conn: Conn) -> Channels:
    """List channels, with how they fare."""
    return Channels(items=[Channel.model_validate(row) for row in await stored.channels(conn)])


@router.get("/channels/{name}", response_model=Channel, responses=problems(404, 422))
async def get_notification_channel(
    name: Name, conn: Conn, request: Request, response: Response
) -> Channel | Response:
    """Show a channel; 304 if `If-None-Match` names what is there."""
    found = Channel.model_validate(await notifications.get_channel(conn, name))
    if editions.label(request, response, found.version, found):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return found


@router.put("/channels/{name}", responses=problems(404, 412, 413, 422))
async def replace_notification_channel(
    name: Name, wish: ReplaceChannel, conn: Conn, response: Response, if_match: IfMatch = None
) -> Channel:
    """Change a channel; what is on its way goes to where it points now, and is tried at once."""
    wanted = editions.expected(if_match)
    with told_apart():
        document = wish.model_dump(exclude_none=True)
        row = await notifications.change_channel(conn, name, document, expected=wanted)
    return labelled(response, Channel.model_validate(row))


@router.post("/channels/{name}/test", status_code=202, responses=problems(404, 422))
async def test_notification_channel(name: Name, conn: Conn, by: By) -> Channel:
    """Send a test through this channel alone."""
    await notifications.test_channel(conn, name, by=by)
    return Channel.model_validate(await notifications.get_channel(conn, name))


@router.delete("/channels/{name}", status_code=204, responses=problems(404, 409, 422))
async def delete_notification_channel(name: Name, conn: Conn) -> None:
    """Delete a channel that no rule uses."""
    await notifications.delete_channel(conn, name)


@router.post("/rules", status_code=201, responses=problems(409, 413, 422))
async def create_notification_rule(
    wish: CreateRule, conn: Conn, by: By, response: Response
) -> Rule:
    """Say of what whom to tell."""
    row = await notifications.create_rule(conn, wish.model_dump(), by=by)
    return labelled(response, Rule.model_validate(row))


@router.get("/rules", responses=problems())
async def list_notification_rules(conn: Conn) -> Rules:
    """List rules."""
    return Rules(items=[Rule.model_validate(row) for row in await stored.rules(conn)])


@router.get("/rules/{name}", response_model=Rule, responses=problems(404, 422))
async def get_notification_rule(
    name: Name, conn: Conn, request: Request, response: Response
) -> Rule | Response:
    """Show a rule; 304 if `If-None-Match` names what is there."""
    found = Rule.model_validate(await notifications.get_rule(conn, name))
    if editions.label(request, response, found.version, found):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return found


@router.put("/rules/{name}", responses=problems(404, 412, 413, 422))
async def replace_notification_rule(
    name: Name, wish: ReplaceRule, conn: Conn, response: Response, if_match: IfMatch = None
) -> Rule:
    """Change a rule, for what is found from now on; whether it sleeps stays as it is."""
    wanted = editions.expected(if_match)
    with told_apart():
        row = await notifications.change_rule(conn, name, wish.model_dump(), expected=wanted)
    return labelled(response, Rule.model_validate(row))


@router.delete("/rules/{name}", status_code=204, responses=problems(404, 422))
async def delete_notification_rule(name: Name, conn: Conn) -> None:
    """Delete a rule with its notifications."""
    await notifications.delete_rule(conn, name)


@router.post("/rules/{name}/snooze", responses=problems(404, 422))
async def snooze_notification_rule(name: Name, wish: Snooze, conn: Conn) -> Rule:
    """Tell nobody until a time; what is found is still written down."""
    return Rule.model_validate(await notifications.snooze(conn, name, wish.until))


@router.post("/rules/{name}/wake", responses=problems(404, 422))
async def wake_notification_rule(name: Name, conn: Conn) -> Rule:
    """End a rule's sleep."""
    return Rule.model_validate(await notifications.snooze(conn, name, None))


@router.post("/rules/{name}/test", status_code=202, responses=problems(404, 422))
async def test_notification_rule(name: Name, conn: Conn, by: By) -> Rule:
    """Send a test through all channels of a rule."""
    await notifications.test(conn, name, by=by)
    return Rule.model_validate(await notifications.get_rule(conn, name))


@router.get("", responses=problems(422))
async def list_notifications(
    conn: Conn,
    rule: Annotated[str | None, Query(pattern=NAME)] = None,
    open: Annotated[bool, Query(description="Told to somebody, and not acknowledged.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Notification]:
    """List what was found, the newest first; for 30 days."""
    after = pages.decode(cursor, pages.big_number)
    rows = await stored.page(conn, rule=rule, open=open, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "id", Notification.model_validate)


@router.post("/{notification}/acknowledge", status_code=204, responses=problems(409, 422))
async def acknowledge_notification(notification: Id, conn: Conn, by: By) -> None:
    """Say that somebody has seen it."""
    await notifications.acknowledge(conn, notification, by=by)


@router.get("/deliveries", responses=problems(422))
async def list_notification_deliveries(
    conn: Conn,
    notification: Annotated[int | None, Query(ge=1, le=BIG)] = None,
    channel: Annotated[str | None, Query(pattern=NAME)] = None,
    status: Literal["PENDING", "DELIVERED", "FAILED"] | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """List deliveries, the newest first, with what was answered."""
    after = pages.decode(cursor, pages.big_number)
    rows = await stored.deliveries(
        conn,
        notification=notification,
        channel=channel,
        status=status,
        after=after,
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", Delivery.model_validate)


@router.post("/deliveries/{delivery}/redeliver", status_code=202, responses=problems(409, 422))
async def redeliver_notification(delivery: Id, conn: Conn) -> None:
    """Deliver it once more."""
    await notifications.redeliver(conn, delivery)
