"""Webhooks: where others report what happened, with a signature instead of a token."""

import base64
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field

from scheduler.api import bodies, pages
from scheduler.api.access import GuardedRoute, source_of
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.occurrences import Received
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.secrets import TheKeys
from scheduler.api.state import By, Conn, TheServer
from scheduler.domain import events as rules
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid, Unauthenticated
from scheduler.domain.webhooks import Call, event_of, read_webhook
from scheduler.services import webhooks
from scheduler.services.events import Sent
from scheduler.store import webhooks as stored

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=GuardedRoute)

Name = Annotated[str, Path(alias="webhook", max_length=63, examples=["shop"])]
LONGEST_OVERLAP = timedelta(days=31)
FAILURES = 60  # a minute, of one address
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Whatever the sender signed; JSON is read as JSON.",
        "content": {"application/json": {"schema": {}}, "text/plain": {"schema": {}}},
    }
}


class PutWebhook(Inward):
    spec: dict[str, Any] = Field(
        description="Whose key it is, by the name of a secret, and what becomes of a call.",
        examples=[{"scheme": "github", "secret": "webhooks/github"}],
    )


class RotateWebhook(Inward):
    secret: str = Field(
        max_length=128, description="The name of the new one.", examples=["webhooks/shop-2"]
    )
    overlap: str = Field(
        default="1d", max_length=40, description="For so long the one before counts as well."
    )


class Webhook(Outward):
    """Where somebody else reports what happened."""

    name: str
    spec: dict[str, Any]
    version: int
    previous_until: Time | None = Field(description="When the key before ceases to count.")
    created_at: Time
    created_by: str
    updated_at: Time


@router.get("", responses=problems(422))
async def list_webhooks(conn: Conn, limit: Limit = 50, cursor: Cursor = None) -> Page[Webhook]:
    """List webhooks in the order of their names."""
    after = pages.decode(cursor, pages.text) or ""
    rows = await stored.page(conn, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "name", Webhook.model_validate)


@router.get("/{webhook}", responses=problems(404, 422))
async def get_webhook(webhook: Name, conn: Conn) -> Webhook:
    """Show a webhook; its key is shown to nobody."""
    return Webhook.model_validate(await webhooks.get(conn, webhook))


@router.put("/{webhook}", responses=problems(413, 422))
async def put_webhook(webhook: Name, wish: PutWebhook, conn: Conn, by: By) -> Webhook:
    """Make a webhook, or change it. Its key is put as a secret before, which no type needs."""
    spec = read_webhook(wish.spec)
    return Webhook.model_validate(await webhooks.put(conn, webhook, spec, by=by))


@router.delete("/{webhook}", status_code=204, responses=problems(404, 422))
async def delete_webhook(webhook: Name, conn: Conn) -> None:
    """Delete a webhook; events that came by it stay."""
    await webhooks.delete(conn, webhook)


@router.post("/{webhook}/rotate", responses=problems(404, 422))
async def rotate_webhook(webhook: Name, wish: RotateWebhook, conn: Conn) -> Webhook:
    """Sign with another key from now on; the one before counts for a while."""
    overlap = parse_duration(wish.overlap)
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise Invalid("0s to 31d are expected", field="overlap")
    row = await webhooks.rotate(conn, webhook, wish.secret, overlap=overlap)
    return Webhook.model_validate(row)


@router.post("/{webhook}", status_code=202, responses=problems(413, 422, 429), openapi_extra=BODY)
async def call_webhook(
    webhook: Name, request: Request, server: TheServer, keys: TheKeys
) -> Received:
    """Report what happened; the signature says who it is. The same call again adds nothing."""
    address, call = source_of(request), Call(dict(request.headers), await request.body())
    server.intake.failed.require(address, FAILURES)
    try:
        async with server.connection() as conn:
            vouched = await webhooks.vouched(conn, keys, webhook, call)
    except Unauthenticated:
        server.intake.failed.use(address)
        raise
    most = server.settings.events.webhooks_per_minute
    server.intake.accepted.require(webhook, most)
    server.intake.accepted.use(webhook)
    body = said(call, server.settings.json_depth)
    event = rules.check(event_of(vouched.spec, webhook, call, body, vouched.digest))
    count = await server.intake.store(Sent([event], f"webhook {webhook}"), len(call.body))
    return Received(stored=count, known=1 - count)


def said(call: Call, depth: int) -> Any:
    """JSON as such, other text as text, and the rest as base64."""
    if bodies.is_json(call.headers.get("content-type", "")):
        return bodies.parse(call.body, depth)
    try:
        return call.body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(call.body).decode()}
