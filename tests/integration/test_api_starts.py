"""Starts over HTTP: who asks at the same time is started together, and answered alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from tests.support.api import Api, becomes, serving
from tests.support.builders import one
from tests.support.postgres import Cluster
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def test_many_who_ask_at_once_get_each_a_run_of_its_own(
    api: Api, db: AsyncConnection
) -> None:
    answers = await asyncio.gather(
        *(api.admin.post("/runs", json={"type": "two"}) for _ in range(60))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 60
    transactions = await one(db, "select count(distinct xmin::text) from runs")
    assert transactions < 60, "they were committed one by one"
    for answer in answers[:3]:
        path = answer.headers["location"]
        assert (await api.admin.get(path.removeprefix("/api/v1"))).json() == answer.json()


async def test_each_is_refused_for_its_own_faults_alone(api: Api) -> None:
    wishes = [{"type": "two"}, {"type": "none"}, {"type": "two", "version": 7}, {"type": "two"}]
    answers = await asyncio.gather(*(api.admin.post("/runs", json=wish) for wish in wishes))
    assert [answer.status_code for answer in answers] == [201, 404, 404, 201]


async def test_the_roles_of_those_who_ask_at_once_are_not_mixed_up(api: Api) -> None:
    async def ask(role: Role) -> httpx.Response:
        return await api.as_role(role).post("/runs", json={"type": "two"})

    roles = [Role.VIEWER, Role.OPERATOR, Role.ADMIN] * 5
    answers = await asyncio.gather(*map(ask, roles))
    assert [answer.status_code for answer in answers] == [403, 201, 201] * 5
    began = [answer.json()["triggered_by"] for answer in answers if answer.is_success]
    assert began == ["the operator", "the admin"] * 5


async def test_a_revoked_token_is_refused_by_the_next_request_at_whatever_server(
    dsn: str,
) -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving(dsn)) for _ in range(2)]
        wish = {"name": "ci", "role": "operator"}
        for here, there in (servers, reversed(servers)):
            made = (await here.admin.post("/tokens", json=wish)).json()
            bearer = {"Authorization": f"Bearer {made['token']}"}
            for api in (here, there):
                assert (await api.as_role(None).get("/runs", headers=bearer)).status_code == 200
            assert (await here.admin.delete(f"/tokens/{made['id']}")).status_code == 200
            for api in (here, there):
                assert (await api.as_role(None).get("/runs", headers=bearer)).status_code == 401


async def test_without_a_database_starts_are_put_off_in_time_and_begin_again(
    cluster: Cluster,
) -> None:
    async with serving(cluster.dsn) as api:
        await api.publish()
        async with await AsyncConnection.connect(cluster.dsn, autocommit=True) as conn:
            await conn.execute("checkpoint")
        await cluster.kill()
        async with asyncio.timeout(patience(2)):
            answers = await asyncio.gather(
                *(api.admin.post("/runs", json={"type": "two"}) for _ in range(20))
            )
        assert {answer.status_code for answer in answers} == {503}
        await cluster.start()

        async def starts_again() -> bool:
            return (await api.admin.post("/runs", json={"type": "two"})).status_code == 201

        await becomes(starts_again)


ORDER = json.dumps({"type": "two", "labels": {"team": "a"}})
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (ORDER, JSON),
        (ORDER, {"Content-Type": "application/json; charset=utf-8"}),
        (ORDER, {"Content-Type": "application/merge-patch+json"}),
        (ORDER, {"Content-Type": "text/plain"}),
        (ORDER, {}),
        ("", JSON),
        ("{", JSON),
        ("[]", JSON),
        ('{"type": "two", "typo": 1}', JSON),
        ('{"type": "two", "priority": true}', JSON),
        ('{"type": "two", "version": 0}', JSON),
        ('{"type": "two", "input": {"a": "\\u0000"}}', JSON),
        ('{"type": "none"}', JSON),
        (ORDER, {**JSON, "Idempotency-Key": "monday"}),
        (ORDER, {**JSON, "Idempotency-Key": "x" * 256}),
        (ORDER, {**JSON, "Idempotency-Key": "with space"}),
        (ORDER, {**JSON, "Prefer": "respond-async, wait=1"}),
        (ORDER, {**JSON, "Prefer": "x" * 201}),
    ],
)
async def test_whatever_is_sent_is_answered_as_the_framework_would(
    api: Api, body: str, headers: dict[str, str]
) -> None:
    """A parameter that nobody knows is passed over, but takes the request the long way."""
    quick = await api.admin.post("/runs", content=body, headers=headers)
    long = await api.admin.post("/runs?unknown=1", content=body, headers=headers)
    assert quick.status_code == long.status_code
    assert likeness(quick) == likeness(long)


def likeness(answer: httpx.Response) -> tuple[dict[str, Any], dict[str, str]]:
    """What two answers to the same wish have in common: all but what names the run."""
    own = {"id", "created_at", "started_at", "finished_at"}
    body = {name: value for name, value in answer.json().items() if name not in own}
    once = {"location", "content-length", "idempotency-replayed"}
    return body, {name: value for name, value in answer.headers.items() if name not in once}
