"""Starts that wait for no commit."""

import asyncio

import pytest

from tests.support.api import serving
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio


async def test_a_start_that_waits_for_no_commit_is_stored_soon(dsn: str) -> None:
    async with serving(dsn) as api:
        await api.publish()
        client = api.admin
        for number in range(5):
            wish = {"type": "two", "labels": {"number": str(number)}}
            taken = await client.post("/runs?ack=memory", json=wish)
            assert taken.status_code == 202
            assert taken.json()["status"] == "ACCEPTED"
        keyed = {"Idempotency-Key": "once"}
        for _ in range(2):
            taken = await client.post("/runs?ack=memory", json={"type": "two"}, headers=keyed)
            assert taken.status_code == 202
        async with asyncio.timeout(patience(30)):
            while True:
                found = (await client.get("/runs", params={"type": "two"})).json()["items"]
                if len(found) == 6:
                    break
                await asyncio.sleep(0.02)
        assert {each["triggered_by"] for each in found} == {"the admin"}


async def test_what_is_wrong_with_a_start_is_said_even_so(dsn: str) -> None:
    async with serving(dsn) as api:
        client = api.admin
        for wish, headers in (
            ({}, {}),
            ({"type": "two", "colour": 1}, {}),
            ({"type": "two"}, {"Prefer": "wait=1"}),
            ({"type": "two"}, {"Idempotency-Key": "a b"}),
        ):
            refused = await client.post("/runs?ack=memory", json=wish, headers=headers)
            assert refused.status_code == 422, wish
        assert (await client.post("/runs?ack=soon", json={"type": "two"})).status_code == 422
