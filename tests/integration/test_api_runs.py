import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.support.api import Api, becomes, serving

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


async def test_fifty_who_send_the_same_key_at_once_start_one_run(api: Api) -> None:
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(api.admin.post("/runs", json={"type": "two"}, headers=key) for _ in range(50))
    )
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(map(str, replayed)) == ["None"] + ["true"] * 49
    assert len((await api.admin.get("/runs")).json()["items"]) == 1


async def test_more_who_wait_than_there_are_connections_hold_up_nobody(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(
                api.admin.post("/runs", json={"type": "two"}, headers={"Prefer": "wait=3"})
            )
            for _ in range(30)
        ]
        await becomes(lambda: all_have_begun(api, 30))
        assert (await api.admin.get("/statistics")).status_code == 200
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()


async def all_have_begun(api: Api, count: int) -> bool:
    answer = await api.admin.get("/runs", params={"limit": 200})
    return len(answer.json()["items"]) == count
