"""Looks for what rules speak of, and carries it to where they say."""

import asyncio
import hmac
import smtplib
import ssl
import time
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

from executor import http, http_invocation
from executor.base import Ending
from scheduler.chores.kinds import Args, Kind, Tools
from scheduler.domain.errors import Invalid
from scheduler.services import notifications, runs
from scheduler.services.runs import Order
from scheduler.settings import MailSettings
from scheduler.store import notifications as stored
from scheduler.store.rows import Row

TIMEOUT = 10  # seconds of one webhook
SWEPT = 1000


class NotDelivered(Exception):
    """Why, without what may be secret."""


async def look(tools: Tools, args: Args) -> None:
    async with tools.connection() as conn:
        await notifications.look(conn)
        await stored.forget(conn, SWEPT)


async def deliver(tools: Tools, args: Args) -> None:
    """One after the other; nobody else takes one while its lease lasts, and whoever receives one
    twice knows it by its id."""
    while True:
        async with tools.connection() as conn:
            delivery = await stored.take(conn)
        if delivery is None:
            return
        await carry(tools, delivery)


async def carry(tools: Tools, delivery: Row) -> None:
    try:
        answer = await CARRIERS[delivery["kind"]](tools, delivery)
    except Exception as error:  # the rim: whatever becomes of one keeps no other
        async with tools.connection() as conn:
            await stored.not_delivered(
                conn,
                delivery["id"],
                attempts=delivery["attempts"],
                error=str(error)[:1000].replace("\x00", ""),
                again=notifications.again_after(delivery["attempts"]),
            )
        return
    async with tools.connection() as conn:
        await stored.delivered(
            conn, delivery["id"], attempts=delivery["attempts"], answer=answer[:1000]
        )


async def to_webhook(tools: Tools, delivery: Row) -> str:
    """Signed as our own webhooks want it, so that one system can speak to another."""
    body, at = notifications.body_of(delivery), int(time.time())
    headers = {
        "content-type": "application/json",
        "procession-delivery": str(delivery["id"]),
        "procession-timestamp": str(at),
    }
    if delivery["secret"]:
        async with tools.connection() as conn:
            key = await notifications.key_of(conn, tools.keys, delivery["secret"])
        headers["procession-signature"] = "v1=" + signature(key, at, body)
    call = http_invocation.HttpInvocation(
        method="POST",
        url=http_invocation.read_url(delivery["config"]["url"]),
        headers=headers,
        content=body,
        timeout=TIMEOUT,
        allow_private=bool(delivery["config"].get("allow_private")),
        max_response=16 << 10,
    )
    outcome = await http.call(call, tools.policy)
    if outcome.ending is not Ending.SUCCEEDED:
        raise NotDelivered(outcome.error or "no answer")
    return "delivered"


def signature(key: bytes, at: int, body: bytes) -> str:
    return hmac.digest(key, b"%d.%b" % (at, body), "sha256").hex()


async def to_email(tools: Tools, delivery: Row) -> str:
    message = mail_of(tools.mail, delivery)
    await asyncio.to_thread(send, tools.mail, message)
    return f"taken by {tools.mail.host}"


def mail_of(settings: MailSettings, delivery: Row) -> EmailMessage:
    if settings.host is None or settings.sender is None:
        raise Invalid(
            "no mail server is set",
            remedy="set PROCESSION_MAIL__HOST and PROCESSION_MAIL__SENDER",
        )
    message = EmailMessage()
    title = notifications.title_of(delivery)
    message["Subject"] = " ".join(title.split())[:200]
    message["From"] = settings.sender
    message["To"] = ", ".join(delivery["config"]["to"])
    message["Message-ID"] = f"<notification-{delivery['id']}@procession>"
    lines = [title, "", *(f"{name}: {value}" for name, value in delivery["data"].items())]
    message.set_content("\n".join(lines))
    return message


def send(settings: MailSettings, message: EmailMessage) -> None:
    """In a thread, since the library waits."""
    assert settings.host is not None
    seconds = settings.timeout.total_seconds()
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=seconds, context=context
        )
    else:
        server = smtplib.SMTP(settings.host, settings.port, timeout=seconds)
    with server:
        if settings.security == "starttls":
            server.starttls(context=context)
        if settings.user is not None and settings.password is not None:
            server.login(settings.user, settings.password.get_secret_value())
        server.send_message(message)


async def to_run(tools: Tools, delivery: Row) -> str:
    """A command of somebody's own: a run of a type, carried out by a worker as any other."""
    message: dict[str, Any] = notifications.message_of(delivery)
    order = Order(
        type=delivery["config"]["type"],
        input={"notification": message},
        by=f"notification rule {delivery['rule']}",
        key=f"notification-delivery-{delivery['id']}",
    )
    async with tools.connection() as conn:
        begun = await runs.start(conn, tools.catalog, order)
    return f"run {begun.id}"


CARRIERS = {"webhook": to_webhook, "email": to_email, "run": to_run}

WATCH = Kind(
    name="watch",
    words="Looks for what notification rules speak of.",
    work=look,
    every=timedelta(seconds=10),
)
DELIVERIES = Kind(
    name=notifications.DELIVER,
    words="Carries notifications to their channels.",
    work=deliver,
    every=timedelta(seconds=5),
)
