"""Figures of what happened lately: right where everything is looked at, near where it is not."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from scheduler.domain.states import RunState
from scheduler.services import statistics
from tests.support import builders
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio
FRAIL = "name: frail\ntasks: [{name: only, noop: true}]"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        await api.publish(FRAIL)
        yield api


async def look(api: Api, window: str = "24h") -> dict[str, Any]:
    answer = await api.admin.get("/statistics", params={"window": window})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def work(api: Api, *outcomes: Any) -> None:
    """Claim one task after the other, and end each so."""
    async with await builders.engine(api.url) as conn:
        holder = await builders.a_holder(conn)
        for outcome in outcomes:
            assert await builders.carry_out(conn, holder, outcome)


async def age(api: Api, run: str, by: timedelta) -> None:
    """As if the run had begun so much earlier."""
    id = UUID(int=UUID(run).int - ((by // timedelta(milliseconds=1)) << 80))
    async with await builders.engine(api.url) as conn:
        await conn.execute("delete from tasks where run_id = %s", [run])
        await conn.execute(
            "update runs set id = %s, created_at = created_at - %s where id = %s", [id, by, run]
        )


async def test_runs_are_counted_by_what_became_of_them(api: Api) -> None:
    for _ in range(3):
        await api.start("frail")
    await work(api, builders.SUCCESS, builders.SUCCESS, builders.PERMANENT)
    await api.start("two")
    found = await look(api)
    frail = next(each for each in found["types"] if each["type"] == "frail")
    assert found["total"] == 4
    assert set(found["runs"]) == {state.value for state in RunState}
    assert (found["runs"]["COMPLETED"], found["runs"]["IN_PROGRESS"]) == (2, 1)
    assert (frail["total"], frail["success_rate"]) == (3, pytest.approx(2 / 3))
    assert found["success_rate"] == pytest.approx(2 / 3)
    assert found["living"]["IN_PROGRESS"] == 1
    assert (found["dead_letters"]["open"], found["dead_letters"]["made"]) == (1, 1)
    assert [each["type"] for each in found["types"]] == ["frail", "two"]


async def test_durations_and_waits_are_told_with_their_spread(api: Api) -> None:
    await api.start("frail")
    await work(api, builders.SUCCESS)
    async with await builders.engine(api.url) as conn:
        await conn.execute(
            "update runs set created_at = created_at - interval '10 s', "
            "started_at = started_at - interval '10 s'"
        )
    found = await look(api)
    assert 10 <= found["duration"]["p50"] <= found["duration"]["max"] < 60
    assert 10 <= found["wait"]["p50"] <= found["wait"]["max"] < 60
    assert found["types"][0]["duration"] == found["duration"]


async def test_a_window_holds_what_began_in_it_and_nothing_older(api: Api) -> None:
    runs = [await api.start("frail") for _ in range(3)]
    await age(api, runs[0]["id"], timedelta(hours=2))
    await age(api, runs[1]["id"], timedelta(days=3))
    totals = [(await look(api, window))["total"] for window in ("1h", "24h", "7d")]
    assert totals == [1, 2, 3]
    assert (await look(api, "1h"))["living"]["IN_PROGRESS"] == 3


@pytest.mark.parametrize(
    ("window", "count", "seconds"), [("1h", 60, 60), ("24h", 96, 900), ("7d", 84, 7200)]
)
async def test_buckets_lie_end_to_end_and_hold_all_runs(
    api: Api, window: str, count: int, seconds: int
) -> None:
    run = await api.start("frail")
    await api.start("frail")
    await age(api, run["id"], timedelta(seconds=seconds * 2.5))
    found = await look(api, window)
    starts = [datetime.fromisoformat(each["since"]) for each in found["buckets"]]
    steps = {(after - before).total_seconds() for before, after in pairwise(starts)}
    assert (len(starts), found["bucket_seconds"], steps) == (count, seconds, {seconds})
    assert [each["started"] for each in found["buckets"]][-3:] == [1, 0, 1]
    assert found["since"] == found["buckets"][0]["since"]


async def test_where_there_are_many_some_stand_for_others(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        await api.start("frail")
    exact = await look(api)
    monkeypatch.setattr(statistics, "LOOKED_AT", 2)
    near = await look(api)
    assert (exact["total"], exact["is_approximate"]) == (6, False)
    assert (near["total"], near["is_approximate"]) == (6, True)


async def test_what_has_been_ready_longest_is_told_for_each_queue(api: Api) -> None:
    await api.publish("name: big\nqueue: big\ntasks: [{name: only, noop: true, priority: 9}]")
    first = await api.start("two")
    urgent = await api.start("two", priority=9)
    big = await api.start("big")
    found = (await look(api))["oldest_ready"]
    assert [(each["queue"], each["run"]) for each in found] == [
        ("default", first["id"]),
        ("big", big["id"]),
    ]
    assert found[0]["task"] == "first"
    assert urgent["id"] not in {each["run"] for each in found}


async def test_nothing_at_all_is_told_too(api: Api) -> None:
    found = await look(api)
    assert (found["total"], found["success_rate"], found["duration"]) == (0, None, None)
    assert (found["types"], found["oldest_ready"]) == ([], [])


async def test_a_window_that_nobody_looks_at_is_refused(api: Api) -> None:
    assert (await api.admin.get("/statistics", params={"window": "1y"})).status_code == 422
