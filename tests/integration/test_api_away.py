"""PostgreSQL away: an answer within two seconds, and everything goes on by itself."""

import time
from collections.abc import AsyncIterator

import pytest
from httpx import Response
from psycopg import AsyncConnection

from tests.support.api import Api, becomes, serving
from tests.support.postgres import Cluster

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
        assert took < AT_MOST
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
