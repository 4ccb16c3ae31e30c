"""PostgreSQL away: an answer within two seconds, and everything goes on by itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
from httpx import Response
from psycopg import AsyncConnection

from scheduler.api import deadlines
from scheduler.app import create_app
from scheduler.embedded import postmaster
from scheduler.services.access import Role, new_token
from scheduler.settings import ServerSettings
from tests.support.api import Api, becomes, serving
from tests.support.postgres import Cluster
from tests.support.runners import children_of
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio
AT_MOST = 2.0


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with serving(cluster.dsn) as api:
        await api.publish()
        await keep(cluster)
        yield api


async def keep(cluster: Cluster) -> None:
    """The tests' servers write late: what they are to have after a crash must be written now."""
    async with await AsyncConnection.connect(cluster.dsn, autocommit=True) as conn:
        await conn.execute("checkpoint")


async def timed(api: Api, path: str) -> tuple[Response, float]:
    asked = time.monotonic()
    answer = await api.admin.get(path)
    return answer, time.monotonic() - asked


async def test_without_a_database_requests_are_put_off_and_the_server_lives(
    api: Api, cluster: Cluster
) -> None:
    await cluster.kill()
    for path in ("/runs", "/health/ready", "/process-types"):
        answer, took = await timed(api, path)
        assert answer.status_code == 503, path
        assert int(answer.headers["retry-after"]) >= 1
        assert took < patience(AT_MOST)
    assert (await api.admin.get("/health/live")).json() == {"status": "UP"}


async def test_when_the_database_is_back_requests_are_answered_again(
    api: Api, cluster: Cluster
) -> None:
    assert (await api.admin.get("/health/ready")).json()["status"] == "UP"
    await cluster.kill()
    assert (await api.admin.get("/runs")).status_code == 503
    await cluster.start()

    async def is_ready() -> bool:
        return (await api.admin.get("/health/ready")).status_code == 200

    await becomes(is_ready)
    assert (await api.admin.post("/runs", json={"type": "two"})).status_code == 201


async def test_a_database_that_hangs_is_as_good_as_away_and_costs_no_connection_for_good(
    api: Api, cluster: Cluster
) -> None:
    assert (await api.admin.get("/runs")).status_code == 200
    with frozen(cluster):
        answers = await asyncio.gather(*(timed(api, "/runs") for _ in range(20)))
        ready, ready_took = await timed(api, "/health/ready")
    assert {answer.status_code for answer, _ in answers} == {503}
    assert max(took for _, took in answers) < patience(AT_MOST)
    assert ready.status_code == 503
    assert ready_took < patience(AT_MOST)

    async def is_ready() -> bool:
        return (await api.admin.get("/health/ready")).status_code == 200

    await becomes(is_ready)
    answers = await asyncio.gather(*(timed(api, "/runs") for _ in range(20)))
    assert {answer.status_code for answer, _ in answers} == {200}


async def test_a_listener_that_cannot_begin_does_not_take_the_server_with_it(dsn: str) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("drop schema public cascade")
        await conn.execute("create schema public")
    app = create_app(dsn, ServerSettings())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://server/api/v1") as client,
    ):
        assert (await client.get("/health/live")).status_code == 200
        token = {"Authorization": f"Bearer {new_token(Role.ADMIN)}"}
        assert (await client.get("/runs", headers=token)).status_code == 503


async def test_a_request_whose_statement_hangs_is_put_off(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that nobody gives back stands for whatever a database may hang on."""
    run = await api.start()
    monkeypatch.setattr(deadlines, "DEADLINE", 0.3)
    async with await AsyncConnection.connect(api.url) as other:
        await other.execute("select from runs for update")
        answer = await api.admin.post(f"/runs/{run['id']}/hold")
        await other.rollback()
    assert answer.status_code == 503
    assert answer.headers["retry-after"]

    async def is_held() -> bool:
        return bool((await api.admin.get(f"/runs/{run['id']}")).json()["status"] == "HELD")

    await becomes(is_held)


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """The server and all its processes stand still; connections stay open."""
    server = postmaster.find(cluster.postgres.data)
    assert server is not None
    for pid in [server.pid, *children_of(server.pid)]:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in [*children_of(server.pid), server.pid]:
            os.kill(pid, signal.SIGCONT)
