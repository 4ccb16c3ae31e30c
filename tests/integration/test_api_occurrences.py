"""Events over HTTP: each form, each once, and no more than there is room for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from scheduler.domain.events import NewEvent
from scheduler.services import events
from scheduler.settings import EventSettings, ServerSettings
from tests.support.api import Api, serving
from tests.support.builders import engine, one

pytestmark = pytest.mark.anyio

EVENT = {"source": "shop", "id": "1", "type": "order.created", "data": {"n": 1}}
CLOUD = {"specversion": "1.0", "id": "1", "source": "shop", "type": "order.created", "subject": "k"}
STORED, KNOWN = {"stored": 1, "known": 0}, {"stored": 0, "known": 1}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


async def post(api: Api, **more: Any) -> httpx.Response:
    return await api.admin.post("/events", **more)


def as_media(kind: str, **headers: str) -> dict[str, str]:
    return {"Content-Type": kind, **headers}


async def test_an_event_may_come_alone_or_with_others(api: Api) -> None:
    assert (await post(api, json=EVENT)).json() == STORED
    assert (await post(api, json={"events": [EVENT, EVENT | {"id": "2"}]})).json() == {
        "stored": 1,
        "known": 1,
    }


async def test_the_same_event_in_any_form_is_stored_once(api: Api) -> None:
    assert (await post(api, json=EVENT)).json() == STORED
    structured = as_media("application/cloudevents+json; charset=utf-8")
    assert (await post(api, json=CLOUD, headers=structured)).json() == KNOWN
    batch = as_media("application/cloudevents-batch+json")
    two = [CLOUD, CLOUD | {"id": "2"}]
    assert (await post(api, json=two, headers=batch)).json() == {"stored": 1, "known": 1}
    binary = {f"ce-{name}": value for name, value in CLOUD.items()}
    assert (await post(api, json={"n": 1}, headers=binary)).json() == KNOWN
    other = binary | {"ce-id": "3", "Content-Type": "text/plain"}
    assert (await post(api, content=b"hello", headers=other)).json() == STORED
    [latest] = (await api.admin.get("/events", params={"limit": 1})).json()["items"]
    assert (latest["id"], latest["key"], latest["data"]) == ("3", "k", "hello")
    assert latest["attributes"] == {"subject": "k", "datacontenttype": "text/plain"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (b'{"type": "a"}', as_media("application/json"), 422, "body.source"),
        (b"{}", as_media("application/json"), 422, "body.events"),
        (b'{"events": []}', as_media("application/json"), 422, "body.events"),
        (b"", as_media("application/json"), 422, "body"),
        (b"[]", as_media("application/cloudevents-batch+json"), 422, "events"),
        (b"{}", as_media("application/cloudevents-batch+json"), 422, "body"),
        (b"{}", as_media("application/cloudevents+json"), 422, "body.specversion"),
        (b"a: b", as_media("application/yaml"), 415, "header.Content-Type"),
        (b"x", as_media("text/plain", **{"ce-specversion": "1.0"}), 422, "header.source"),
    ],
)
async def test_a_request_that_is_no_event_is_told_why(
    api: Api, body: bytes, headers: dict[str, str], status: int, field: str
) -> None:
    answer = await post(api, content=body, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text


async def test_of_many_who_send_the_same_at_once_one_has_stored_it(api: Api) -> None:
    answers = await asyncio.gather(*(post(api, json=EVENT) for _ in range(20)))
    assert sorted(each.json()["stored"] for each in answers) == [0] * 19 + [1]
    async with await engine(api.url) as conn:
        assert await one(conn, "select count(*) from events") == 1


async def test_nobody_fails_for_what_another_sent(api: Api) -> None:
    """Four are stored together at first, and the database refuses one of them."""
    async with await AsyncConnection.connect(api.url, autocommit=True) as owner:
        await owner.execute("alter table events add check (event_id <> 'poison')")
    wanted = [EVENT | {"id": name} for name in ("a", "poison", "b", "c")]
    answers = await asyncio.gather(*(post(api, json=each) for each in wanted))
    assert [each.status_code for each in answers] == [202, 500, 202, 202]


async def test_events_about_thousands_of_things_take_few_locks(dsn: str) -> None:
    """All transactions share the memory for their locks; whoever fills it fails all of them."""
    async with await engine(dsn) as conn, conn.transaction():
        for begin in range(0, 3_000, 1_000):
            numbers = range(begin, begin + 1_000)
            new = [NewEvent(source="s", id=str(n), type="a", key=str(n)) for n in numbers]
            await events.receive(conn, new, by="test")
        ours = "from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        assert await one(conn, f"select count(*) {ours}") <= 512


async def test_what_there_is_no_room_for_is_refused_and_not_stored(dsn: str) -> None:
    settings = ServerSettings(events=EventSettings(backlog=100))
    async with serving(dsn, settings) as api, await engine(dsn) as conn:
        first = [EVENT | {"id": f"a{number}"} for number in range(100)]
        assert (await post(api, json={"events": first})).status_code == 202
        api.app.state.server.intake._looked = float("-inf")
        refused = await post(api, json=EVENT | {"id": "late"})
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert await one(conn, "select count(*) from events") == 100
        await conn.execute("delete from event_backlog")
        api.app.state.server.intake._looked = float("-inf")
        assert (await post(api, json=EVENT | {"id": "late"})).json() == STORED


async def test_bodies_that_wait_to_be_stored_are_bounded(dsn: str) -> None:
    settings = ServerSettings(events=EventSettings(in_hand=1 << 20))
    async with serving(dsn, settings) as api, await engine(dsn) as conn:
        large = {"text": "x" * 300_000}
        async with conn.transaction():
            await conn.execute("lock table events in share mode")
            sending = [
                asyncio.create_task(post(api, json=EVENT | {"id": str(n), "data": large}))
                for n in range(8)
            ]
            refused, _ = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result().status_code for task in refused} == {429}
        statuses = [answer.status_code for answer in await asyncio.gather(*sending)]
        assert statuses.count(429) >= len(sending) - 3
        assert await one(conn, "select count(*) from events") == statuses.count(202)
        # Whoever waited too long for the table has to come again, and is not stored.
        assert set(statuses) <= {202, 429, 503}
