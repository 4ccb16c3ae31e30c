"""Webhooks over HTTP: the signature is the token."""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from scheduler.services import secrets
from scheduler.services.access import Role
from scheduler.services.keyring import Keys
from scheduler.settings import EventSettings, ServerSettings
from tests.support.api import Api, serving
from tests.support.builders import engine, one

pytestmark = pytest.mark.anyio

KEYS = Keys(text=b64encode(b"k" * 32).decode())
BODY = b'{"type": "paid", "n": 1}'


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn, ServerSettings(events=EventSettings(webhooks_per_minute=50))) as api:
        api.app.state.keys = KEYS
        await put_secret(api, "webhooks/shop", "first key")
        spec = {"secret": "webhooks/shop"}
        answer = await api.admin.put("/webhooks/shop", json={"spec": spec})
        assert answer.status_code == 200, answer.text
        yield api


async def put_secret(api: Api, name: str, value: str) -> None:
    async with await engine(api.url) as conn:
        await secrets.put(conn, KEYS.load(), name, value, by="ann")


async def call(
    api: Api, *, key: str = "first key", body: bytes = BODY, at: int | None = None, to: str = "shop"
) -> httpx.Response:
    at = int(time.time()) if at is None else at
    signature = hmac.new(key.encode(), b"%d.%b" % (at, body), hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "Procession-Timestamp": str(at),
        "Procession-Signature": f"v1={signature}",
    }
    return await api.as_role(None).post(f"/webhooks/{to}", content=body, headers=headers)


async def test_a_signed_call_is_an_event_and_the_same_call_again_is_none(api: Api) -> None:
    now = int(time.time())
    assert (await call(api, at=now)).json() == {"stored": 1, "known": 0}
    assert (await call(api, at=now)).json() == {"stored": 0, "known": 1}
    [event] = (await api.admin.get("/events")).json()["items"]
    assert (event["source"], event["type"], event["data"]["n"]) == ("webhook:shop", "shop.paid", 1)
    assert event["received_by"] == "webhook shop"


async def test_nobody_learns_whether_a_webhook_is_there(api: Api) -> None:
    wrong, unknown = await call(api, key="guess"), await call(api, to="other")
    assert wrong.status_code == unknown.status_code == 401
    told = [{**each.json(), "instance": None} for each in (wrong, unknown)]
    assert told[0] == told[1]
    async with await engine(api.url) as conn:
        assert await one(conn, "select count(*) from events") == 0


async def test_a_key_is_replaced_without_a_gap(api: Api) -> None:
    await put_secret(api, "webhooks/shop-2", "second key")
    wish = {"secret": "webhooks/shop-2", "overlap": "1h"}
    assert (await api.admin.post("/webhooks/shop/rotate", json=wish)).status_code == 200
    assert (await call(api, key="first key")).status_code == 202
    assert (await call(api, key="second key")).status_code == 202
    async with await engine(api.url) as conn:
        await conn.execute("update webhooks set previous_until = clock_timestamp()")
    assert (await call(api, key="first key")).status_code == 401
    assert (await call(api, key="second key")).status_code == 202


async def test_guesses_are_slowed_down_by_address_and_calls_by_webhook(api: Api) -> None:
    guesses = [(await call(api, key=f"guess {n}")).status_code for n in range(125)]
    assert set(guesses) == {401, 429}
    api.app.state.server.intake.failed._used.clear()
    answers = [await call(api, body=b'{"n": %d}' % n) for n in range(110)]
    assert 429 in {each.status_code for each in answers}
    refused = next(each for each in answers if each.status_code == 429)
    assert 0 < int(refused.headers["Retry-After"]) <= 60


async def test_a_webhook_needs_a_secret_that_is_there_and_an_admin(api: Api) -> None:
    spec: dict[str, Any] = {"spec": {"secret": "nowhere"}}
    answer = await api.admin.put("/webhooks/new", json=spec)
    assert (answer.status_code, answer.json()["field"]) == (422, "secret")
    author = await api.as_role(Role.AUTHOR).put("/webhooks/shop", json=spec)
    assert author.status_code == 403
    assert (await api.admin.delete("/webhooks/shop")).status_code == 204
    assert (await call(api)).status_code == 401


async def test_a_body_that_is_no_json_is_refused_though_it_is_signed(api: Api) -> None:
    assert (await call(api, body=b"{")).status_code == 422
    assert (await call(api, body=b'{"a": 1e999}')).status_code == 422
