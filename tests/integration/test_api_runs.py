from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def test_a_run_that_was_started_can_be_read_and_stands_first_in_the_list(api: Api) -> None:
    older, run = await api.start(), await api.start()

    answer = await api.admin.get(f"/runs/{run['id']}")
    listed = await api.admin.get("/runs")

    assert answer.json()["status"] == "IN_PROGRESS"
    assert [each["id"] for each in listed.json()["items"]] == [run["id"], older["id"]]


async def test_a_run_that_nobody_started_is_not_found(api: Api) -> None:
    answer = await api.admin.get(f"/runs/{uuid4()}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:procession:problem:not-found"


async def test_the_same_key_and_request_give_the_same_run(api: Api) -> None:
    key = {"Idempotency-Key": "monday"}
    first = await api.admin.post("/runs", json={"type": "two"}, headers=key)
    again = await api.admin.post("/runs", json={"type": "two"}, headers=key)
    other = await api.admin.post("/runs", json={"type": "two", "priority": 9}, headers=key)

    assert again.json()["id"] == first.json()["id"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert other.status_code == 409
