import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from httpx import Response

from scheduler.api.preferences import seconds
from scheduler.services.waking import notify
from tests.support import builders
from tests.support.api import Api, becomes, serving

pytestmark = pytest.mark.anyio
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def carry_out_all(dsn: str) -> None:
    """Every task there is, one after the other, each announced as a worker would."""
    async with await builders.engine(dsn) as conn:
        holder = await builders.a_holder(conn)
        while mine := await builders.claimed(conn, holder):
            told = await builders.record(conn, holder, mine)
            await notify(conn, told.wake)


def events_of(answer: Response) -> list[tuple[int, str]]:
    found = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "id" in lines:
            assert json.loads(lines["data"])["seq"] == int(lines["id"])
            found.append((int(lines["id"]), lines["event"]))
    return found


async def test_a_stream_tells_every_event_in_order_and_ends_with_the_run(api: Api) -> None:
    run = await api.start()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(api.admin.get(f"/runs/{run['id']}/events", headers=STREAM))
        group.create_task(carry_out_all(api.url))

    told = events_of(following.result())
    assert [seq for seq, _ in told] == list(range(1, len(told) + 1))
    assert [kind for _, kind in told] == [
        "run.started",
        "task.completed",
        "task.completed",
        "run.completed",
    ]


async def test_a_stream_taken_up_again_goes_on_behind_the_last_event(api: Api) -> None:
    run = await api.start()
    await carry_out_all(api.url)
    path = f"/runs/{run['id']}/events"
    whole = events_of(await api.admin.get(path, headers=STREAM))
    for seq, _ in whole[:-1]:
        again = await api.admin.get(path, headers=STREAM | {"Last-Event-ID": str(seq)})
        assert events_of(again) == whole[seq:]


async def test_a_browser_that_was_told_everything_is_told_to_ask_no_more(api: Api) -> None:
    run = await api.start()
    await carry_out_all(api.url)
    last = {"Last-Event-ID": "4"}
    answer = await api.admin.get(f"/runs/{run['id']}/events", headers=STREAM | last)
    assert answer.status_code == 204


async def test_events_come_in_pages_and_name_their_tasks(api: Api) -> None:
    run = await api.start()
    await carry_out_all(api.url)
    path, seen, cursor = f"/runs/{run['id']}/events", [], None
    while True:
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await api.admin.get(path, params=params)).json()
        seen += page["items"]
        if (cursor := page["next"]) is None:
            break
    assert [each["seq"] for each in seen] == [1, 2, 3, 4]
    assert [each["task"] for each in seen] == [None, "first", "second", None]


async def test_the_events_of_no_run_are_not_found_in_either_form(api: Api) -> None:
    path = f"/runs/{uuid4()}/events"
    assert (await api.admin.get(path)).status_code == 404
    assert (await api.admin.get(path, headers=STREAM)).status_code == 404


async def test_a_start_that_waits_is_answered_when_the_run_has_ended(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(
            api.admin.post("/runs", json={"type": "two"}, headers={"Prefer": "wait=30"})
        )
        await becomes(lambda: is_any(api))
        group.create_task(carry_out_all(api.url))

    answer = asked.result()
    assert answer.json()["status"] == "COMPLETED"
    assert answer.headers["preference-applied"] == "wait=30"


async def is_any(api: Api) -> bool:
    return bool((await api.admin.get("/runs")).json()["items"])


async def test_a_start_that_waits_in_vain_answers_with_the_run_as_it_is(api: Api) -> None:
    answer = await api.admin.post("/runs", json={"type": "two"}, headers={"Prefer": "wait=1"})
    assert answer.status_code == 201
    assert answer.json()["status"] == "IN_PROGRESS"


async def test_followers_leave_nothing_behind(api: Api) -> None:
    run = await api.start()
    hub = api.app.state.server.hub
    with hub.follow(UUID(run["id"])), hub.follow(UUID(run["id"])):
        assert len(hub) == 2
    assert len(hub) == 0


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, 0),
        ("wait=5", 5),
        ("respond-async, wait=10", 10),
        ('WAIT="7"', 7),
        ("wait=100000", 60),
        ("waiting=5", 0),
        ("wait=x", 0),
    ],
)
def test_a_preference_is_understood_or_passed_over(header: str | None, wait: int) -> None:
    assert seconds(header) == wait
