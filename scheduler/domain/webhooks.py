"""Webhooks: whether somebody who holds the key signed what came, and which event it is.

Nothing that is not signed decides what an event's id is, so that whoever catches a request and
sends it again adds nothing.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scheduler.domain import templates
from scheduler.domain.documents import UnreadableDocument, node_of
from scheduler.domain.durations import format_duration
from scheduler.domain.errors import Invalid, InvalidDefinition, Unauthenticated
from scheduler.domain.events import LONGEST_ID, LONGEST_NAME, NewEvent
from scheduler.domain.fields import Field, as_data, as_text
from scheduler.domain.names import TASK_NAME, TASK_NAME_RULE
from scheduler.domain.readers import data as any_data
from scheduler.domain.readers import template_or_empty
from scheduler.domain.secrets import SECRET_NAME, SECRET_NAME_RULE
from scheduler.domain.sections import Cursor, Faults, Section, one_of, short_text
from scheduler.domain.trigger_reading import length, speaking_of

SCHEMES = ("procession", "standard", "github", "stripe")
KEYS = ("description", "scheme", "secret", "previous", "tolerance", "type", "key", "id", "data")
SIGNED = frozenset({"body"})
SCOPES = SIGNED | {"headers"}
TOLERANCE = timedelta(minutes=5)
SOURCE = "webhook"
HEX = re.compile(r"[0-9a-f]{64}")
NUMBER = re.compile(r"\d{1,12}", re.ASCII)
SHOWN = ("content-type", "user-agent")  # headers that expressions may speak of, and x-…
MOST_SIGNATURES = 10

REFUSED = "there is no such webhook, or its signature is missing, wrong or too old"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSpec:
    """`secret` and `previous` are names of secrets; with the latter an older key still counts."""

    secret: str
    scheme: str = "procession"
    description: str = ""
    previous: str | None = None
    tolerance: timedelta = TOLERANCE
    type: str | None = None
    key: str | None = None
    id: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class Call:
    """What came; names of headers are small."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """The bytes that somebody vouches for, and how."""

    content: bytes
    signatures: Sequence[bytes]
    at: int | None  # seconds since 1970; None where the scheme knows no time


def verify(spec: WebhookSpec, call: Call, keys: Sequence[str], now: float) -> str:
    """What the signed content is known by; raises Unauthenticated. All keys are always tried."""
    signed = signed_by(spec.scheme, call)
    if signed.at is not None and abs(now - signed.at) > spec.tolerance.total_seconds():
        raise refused()
    found = False
    for key in keys:
        wanted = hmac.digest(secret_bytes(spec.scheme, key), signed.content, "sha256")
        for signature in signed.signatures[:MOST_SIGNATURES]:
            found |= hmac.compare_digest(wanted, signature)
    if not found:
        raise refused()
    return hashlib.sha256(signed.content).hexdigest()


def refused() -> Unauthenticated:
    return Unauthenticated(
        REFUSED,
        remedy="sign the body and the time with the key of the webhook, and send it at once",
    )


def secret_bytes(scheme: str, key: str) -> bytes:
    if scheme == "standard" and key.startswith("whsec_"):
        try:
            return base64.b64decode(key.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            return key.encode()
    return key.encode()


def signed_by(scheme: str, call: Call) -> Signed:
    match scheme:
        case "github":
            return Signed(call.body, hexes([header(call, "x-hub-signature-256")], "sha256="), None)
        case "stripe":
            parts = [part.strip() for part in header(call, "stripe-signature").split(",")]
            at = second(next((p[2:] for p in parts if p.startswith("t=")), ""))
            return Signed(b"%d.%b" % (at, call.body), hexes(parts, "v1="), at)
        case "standard":
            at, id = second(header(call, "webhook-timestamp")), header(call, "webhook-id")
            given = header(call, "webhook-signature").split(" ")
            content = id.encode() + b".%d." % at + call.body
            return Signed(content, base64s(given, "v1,"), at)
    at = second(header(call, "procession-timestamp"))
    given = header(call, "procession-signature").split(",")
    return Signed(b"%d.%b" % (at, call.body), hexes([each.strip() for each in given], "v1="), at)


def header(call: Call, name: str) -> str:
    value = call.headers.get(name)
    if not value:
        raise refused()
    return value


def second(text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise refused()
    return int(text)


def hexes(parts: Sequence[str], prefix: str) -> list[bytes]:
    found = [part.removeprefix(prefix) for part in parts if part.startswith(prefix)]
    return [bytes.fromhex(each) for each in found if HEX.fullmatch(each)]


def base64s(parts: Sequence[str], prefix: str) -> list[bytes]:
    found = []
    for part in parts:
        if part.startswith(prefix):
            try:
                found.append(base64.b64decode(part.removeprefix(prefix), validate=True))
            except (binascii.Error, ValueError):
                continue
    return found


# The event


def event_of(spec: WebhookSpec, name: str, call: Call, body: Any, digest: str) -> NewEvent:
    """By the expressions of the webhook; what it does not say is as its scheme has it."""
    scope = {"body": body, "headers": shown(call.headers)}
    return NewEvent(
        source=f"webhook:{name}",
        id=text_of(spec.id, "id", scope, LONGEST_ID) or own_id(spec.scheme, body) or digest,
        type=text_of(spec.type, "type", scope, LONGEST_NAME) or own_type(spec.scheme, name, scope),
        key=text_of(spec.key, "key", scope, LONGEST_ID),
        data=body if spec.data is None else Field(("data",), spec.data, as_data).come_to(scope),
        attributes={"scheme": spec.scheme, "digest": digest},
    )


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name in SHOWN or (name.startswith("x-") and "signature" not in name)
    }


def text_of(value: str | None, name: str, scope: Mapping[str, Any], most: int) -> str:
    if value is None:
        return ""
    found: str = Field((name,), templates.read(value), as_text(most)).come_to(scope)
    return found


def own_id(scheme: str, body: Any) -> str:
    """Stripe names its events within what it signs."""
    given = body.get("id") if scheme == "stripe" and isinstance(body, dict) else None
    return given if isinstance(given, str) and len(given) <= LONGEST_ID else ""


def own_type(scheme: str, name: str, scope: Mapping[str, Any]) -> str:
    body, headers = scope["body"], scope["headers"]
    said = body if isinstance(body, dict) else {}
    if scheme == "github":
        parts = [headers.get("x-github-event"), said.get("action")]
    else:
        parts = [said.get("type")]
    named = [part for part in parts if isinstance(part, str) and part]
    return ".".join([name, *named])[:LONGEST_NAME]


# As it is written


def read_webhook(document: Mapping[str, Any]) -> WebhookSpec:
    """Raises InvalidDefinition with all faults."""
    faults = Faults(SOURCE)
    try:
        section = Section(Cursor(node_of(dict(document)), "", faults), KEYS)
    except UnreadableDocument as fault:
        raise InvalidDefinition([f"{SOURCE}: {fault}"]) from None
    text, data = speaking_of(SCOPES, template_or_empty), speaking_of(SCOPES, any_data)
    spec = WebhookSpec(
        description=section.take("description", short_text, ""),
        scheme=section.take("scheme", one_of(*SCHEMES), "procession"),
        secret=section.need("secret", secret_name, ""),
        previous=section.take("previous", secret_name, None),
        tolerance=section.take("tolerance", length, TOLERANCE),
        type=section.take("type", text, None),
        key=section.take("key", text, None),
        id=section.take("id", speaking_of(SIGNED, template_or_empty), None),
        data=section.take("data", data, None),
    )
    if faults.found:
        raise InvalidDefinition(faults.lines())
    return spec


def secret_name(cursor: Cursor) -> str:
    if not isinstance(cursor.value, str) or not SECRET_NAME.fullmatch(cursor.value):
        raise Invalid(f"the name of a secret is expected, not its value: {SECRET_NAME_RULE}")
    return cursor.value


def write_webhook(spec: WebhookSpec) -> dict[str, Any]:
    document = {name: value for name in KEYS if (value := getattr(spec, name)) not in (None, "")}
    document["tolerance"] = format_duration(spec.tolerance)
    return document


def check_name(name: str) -> str:
    if not TASK_NAME.fullmatch(name):
        rule = TASK_NAME_RULE.replace("a task's", "a webhook's")
        raise Invalid(f"{name[:80]!r} names no webhook: {rule}", field="name")
    return name
