"""Signatures, by the recipes that their senders publish, and the events that calls become."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from scheduler.domain.errors import InvalidDefinition, Unauthenticated
from scheduler.domain.webhooks import Call, event_of, read_webhook, verify, write_webhook

NOW, BODY = 1_700_000_000, b'{"id": "evt_1", "type": "order.paid", "action": "opened"}'
KEY, OTHER = "correct horse", "battery staple"


def mac(content: bytes, key: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def called(scheme: str, *, key: str = KEY, at: int = NOW, body: bytes = BODY) -> Call:
    stamped = str(at).encode() + b"." + body
    match scheme:
        case "github":
            signed = {"x-hub-signature-256": f"sha256={mac(body, key.encode())}"}
            return Call({**signed, "x-github-event": "issues"}, body)
        case "stripe":
            signature = f"t={at},v1={mac(stamped, key.encode())},v0=abc"
            return Call({"stripe-signature": signature}, body)
        case "standard":
            signed_by = base64.b64decode(key) if key.startswith("d2") else key.encode()
            digest = hmac.digest(signed_by, b"msg_1." + stamped, "sha256")
            return Call(
                {
                    "webhook-id": "msg_1",
                    "webhook-timestamp": str(at),
                    "webhook-signature": f"v1,AAAA v1,{base64.b64encode(digest).decode()}",
                },
                body,
            )
    return Call(
        {
            "procession-timestamp": str(at),
            "procession-signature": f"v1={mac(stamped, key.encode())}",
        },
        body,
    )


SCHEMES = ("procession", "standard", "github", "stripe")
TIMED = ("procession", "standard", "stripe")


def webhook(scheme: str, **more: Any) -> Any:
    return read_webhook({"scheme": scheme, "secret": "webhooks/shop", **more})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_call_that_is_signed_as_its_sender_says_is_let_in(scheme: str) -> None:
    assert verify(webhook(scheme), called(scheme), [KEY], NOW)
    assert verify(webhook(scheme), called(scheme), [OTHER, KEY], NOW)


def test_the_signature_of_the_documentation_of_standard_webhooks_is_right() -> None:
    call = Call(
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        b'{"test": 2432232314}',
    )
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert verify(webhook("standard"), call, [key], 1614265330)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_another_key_another_body_and_no_signature_are_refused(scheme: str) -> None:
    call = called(scheme)
    for wrong, keys in (
        (call, [OTHER]),
        (call, []),
        (Call(call.headers, BODY + b" "), [KEY]),
        (Call({}, BODY), [KEY]),
        (Call(dict.fromkeys(call.headers, "nonsense"), BODY), [KEY]),
        (Call(dict.fromkeys(call.headers, "sha256=é,v1=é v1,é"), BODY), [KEY]),
    ):
        with pytest.raises(Unauthenticated):
            verify(webhook(scheme), wrong, keys, NOW)


@pytest.mark.parametrize("scheme", TIMED)
def test_a_call_that_is_too_old_or_from_the_future_is_refused(scheme: str) -> None:
    for apart in (-301, 301):
        with pytest.raises(Unauthenticated):
            verify(webhook(scheme), called(scheme, at=NOW + apart), [KEY], NOW)
    assert verify(webhook(scheme, tolerance="1h"), called(scheme, at=NOW - 301), [KEY], NOW)


@pytest.mark.parametrize("scheme", TIMED)
def test_the_time_is_signed_as_well(scheme: str) -> None:
    call = called(scheme, at=NOW - 600)
    headers = {
        name: value.replace(str(NOW - 600), str(NOW)) for name, value in call.headers.items()
    }
    with pytest.raises(Unauthenticated):
        verify(webhook(scheme), Call(headers, BODY), [KEY], NOW)


def test_calls_become_events_by_their_scheme() -> None:
    body = {"id": "evt_1", "type": "order.paid", "action": "opened"}
    event = event_of(webhook("github"), "hub", called("github"), body, "digest")
    assert (event.source, event.id, event.type) == ("webhook:hub", "digest", "hub.issues.opened")
    event = event_of(webhook("stripe"), "pay", called("stripe"), body, "digest")
    assert (event.id, event.type, event.data) == ("evt_1", "pay.order.paid", body)
    event = event_of(webhook("procession"), "shop", called("procession"), "text", "digest")
    assert (event.id, event.type, event.data) == ("digest", "shop", "text")


def test_calls_become_events_by_expressions() -> None:
    spec = webhook(
        "procession",
        type="shop.${{ body.type }}",
        id="${{ body.id }}",
        key="${{ body.action }}",
        data={"of": "${{ headers['x-of'] }}"},
    )
    body = {"id": "evt_1", "type": "order.paid", "action": "opened"}
    event = event_of(spec, "shop", Call({"x-of": "us"}, BODY), body, "digest")
    assert (event.type, event.id, event.key) == ("shop.order.paid", "evt_1", "opened")
    assert event.data == {"of": "us"}
    assert read_webhook(write_webhook(spec)) == spec


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "'secret' is missing"),
        ({"secret": "The Value"}, "the name of a secret is expected, not its value"),
        ({"secret": "a", "scheme": "md5"}, "not a choice"),
        ({"secret": "a", "id": "${{ headers['x-id'] }}"}, "there is no 'headers'"),
        ({"secret": "a", "type": "${{ input.x }}"}, "there is no 'input'"),
    ],
)
def test_every_mistake_is_told(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        read_webhook(document)
    assert complaint in str(refused.value)
