"""The feed of everything: nothing lost or told twice, whatever overtakes, whoever is cut off."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from psycopg import AsyncConnection

from scheduler.domain.ids import new_id
from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TELL = "insert into history (run_id, seq, kind) values (%s, %s, %s)"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


@asynccontextmanager
async def listening(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """The same application behind a socket, so that connections can be cut."""
    server = uvicorn.Server(
        uvicorn.Config(api.app, port=0, lifespan="off", ws="none", log_config=None)
    )
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {
        "Authorization": f"Bearer {api.tokens[Role.VIEWER]}",
        "Accept": "text/event-stream",
    }
    url = f"http://127.0.0.1:{port}/api/v1"
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = server.force_exit = True
        await serving


class Follower:
    """Somebody who remembers the last id, as browsers do."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.last: str | None = None
        self.told: list[tuple[str, str]] = []

    async def read(self, until: int, *, at_once: int | None = None) -> None:
        """Read until that many were told in all; or be cut off after `at_once` of them."""
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        end = until if at_once is None else min(until, len(self.told) + at_once)
        async with (
            asyncio.timeout(30),
            self.client.stream("GET", "/history", headers=headers) as answer,
        ):
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                if name == "data":
                    event = json.loads(value)
                    self.told.append((event["run"], event["kind"]))
                if len(self.told) >= end and self.last is not None:
                    return


async def test_a_commit_that_was_overtaken_is_told_before_the_one_that_overtook_it(
    api: Api, dsn: str
) -> None:
    async with (
        listening(api) as client,
        await AsyncConnection.connect(dsn) as slow,
        await AsyncConnection.connect(dsn) as fast,
    ):
        follower = Follower(client)
        await follower.read(0)  # where it stands now
        first, second = new_id(), new_id()
        await slow.execute(TELL, [first, 1, "slow"])
        await fast.execute(TELL, [second, 1, "fast"])
        await fast.commit()
        page = await api.admin.get("/history", params={"after": follower.last})
        assert page.json()["items"] == []  # to pass on `fast` now would be to lose `slow`
        await slow.commit()
        await follower.read(2)
    assert follower.told == [(str(first), "slow"), (str(second), "fast")]


async def test_followers_who_are_cut_off_again_and_again_are_told_everything_once(
    api: Api, dsn: str
) -> None:
    writers, each = 6, 25
    runs = [new_id() for _ in range(writers)]
    chance = random.Random(7)

    async def write(number: int) -> None:
        async with await AsyncConnection.connect(dsn) as conn:
            for seq in range(1, each + 1):
                await conn.execute(TELL, [runs[number], seq, f"event.{seq}"])
                for _ in range(chance.randrange(4)):
                    await conn.execute("select 1")  # others commit meanwhile
                await conn.commit()

    async with listening(api) as client:
        follower = Follower(client)
        await follower.read(0)
        async with asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(write(number))
            while len(follower.told) < writers * each:
                await follower.read(writers * each, at_once=chance.randrange(1, 12))

    expected = {(str(run), f"event.{seq}") for run in runs for seq in range(1, each + 1)}
    assert len(follower.told) == len(expected)
    assert set(follower.told) == expected
    for run in runs:
        mine = [kind for told, kind in follower.told if told == str(run)]
        assert mine == [f"event.{seq}" for seq in range(1, each + 1)]


async def test_pages_and_the_stream_tell_the_same(api: Api) -> None:
    for _ in range(5):
        await api.start()
    found, after = [], "0-0"
    while items := (
        page := (await api.admin.get("/history", params={"after": after, "limit": 2})).json()
    )["items"]:
        found += [(each["run"], each["kind"]) for each in items]
        after = page["next"]
    async with listening(api) as client:
        follower = Follower(client)
        follower.last = "0-0"
        await follower.read(5)
    assert follower.told == found
    assert [kind for _, kind in found] == ["run.started"] * 5


@pytest.mark.parametrize("after", ["1", "1-", "-1-1", "9999999999999999999-1", "1-1x", "01-1"])
async def test_a_place_that_cannot_be_is_refused(api: Api, after: str) -> None:
    assert (await api.admin.get("/history", params={"after": after})).status_code == 422
