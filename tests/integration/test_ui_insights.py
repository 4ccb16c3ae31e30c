"""What counts of hours say on the dashboard, and the counting of attempts itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services import rollups
from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.browser import Browser, signed_in
from tests.support.builders import FAILURE, a_holder, a_promoter, carry_out, engine, publish, start
from ui.pages import insights

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
FLAKY = "name: flaky\ntasks: [{name: go, noop: true, retries: {max: 1, delay: 0s}}]"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    insights.FIGURES.forget()
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.VIEWER) as browser:
        yield browser


async def counted(db: AsyncConnection[Any]) -> list[tuple[Any, ...]]:
    cursor = await db.execute(
        "select type, attempts, again, failed, begun from attempt_rollups where type <> ''"
    )
    return await cursor.fetchall()


async def test_attempts_of_an_hour_are_counted_once_when_it_is_over(
    dsn: str, db: AsyncConnection[Any]
) -> None:
    async with await engine(dsn) as conn:
        await publish(conn, FLAKY)
        await start(conn, "flaky")
        holder = await a_holder(conn)
        await carry_out(conn, holder, FAILURE)
        await conn.execute("update tasks set due_at = clock_timestamp() where reason = 'backoff'")
        await a_promoter().tick(conn)
        assert await carry_out(conn, holder) == ["go"]
        now = datetime.now(UTC)
        assert await rollups.catch_up_attempts(conn, now) == 0  # this hour is not over
        assert await counted(db) == []
        await db.rollback()
        later = now + HOUR + timedelta(minutes=2)
        assert await rollups.catch_up_attempts(conn, later) >= 1
        assert await rollups.catch_up_attempts(conn, later) == 0
        assert await counted(db) == [("flaky", 2, 1, 1, 1)]


async def test_an_hour_without_an_attempt_is_not_counted_again(dsn: str) -> None:
    async with await engine(dsn) as conn:
        await publish(conn, FLAKY)
        await start(conn, "flaky")
        later = datetime.now(UTC) + 5 * HOUR
        assert await rollups.catch_up_attempts(conn, later) >= 4
        assert await rollups.catch_up_attempts(conn, later) == 0


async def some_hours(db: AsyncConnection[Any], types: int = 1) -> None:
    """A type that grows and fails at times, over two days."""
    await db.execute(
        "insert into run_rollups (hour, type, state, runs, seconds, p50, p95)"
        " select h, 'type-' || n, s.state::run_state, s.runs,"
        "        s.runs * case when h < now() - interval '1 day' then 10 else 25 end, 1, 2"
        "   from generate_series(date_trunc('hour', now()) - interval '47 hours',"
        "                        date_trunc('hour', now()) - interval '1 hour',"
        "                        interval '1 hour') as h,"
        "        generate_series(1, %s) as n,"
        "        (values ('COMPLETED', 6), ('FAILED', 2)) as s (state, runs)",
        [types],
    )
    await db.execute(
        "insert into attempt_rollups"
        " (hour, type, attempts, again, failed, seconds, again_seconds, begun, waited)"
        " select hour, type, 12, 3, 2, 120, 30, 8, 16 from run_rollups where state = 'FAILED'"
    )
    await db.commit()


async def test_growth_failures_waits_and_the_cost_of_retries_are_told(
    db: AsyncConnection[Any], someone: Browser
) -> None:
    await some_hours(db)
    page = await someone.open("/ui/insights?window=7d")
    for said in ("type-1", "25.0%", "2.0 s", "Slowest growing"):
        assert said in page.text, said
    assert "Nothing takes longer" in page.text  # all of it lies in the second half
    told = (await someone.client.get("/ui/insights?format=json&window=7d")).json()
    assert told[0]["type"] == "type-1"
    assert told[0]["wait_seconds"] == 2.0
    assert told[0]["attempts_again"] == 3 * 47
    page = await someone.open("/ui/insights?window=30d")
    assert "counted until" in page.text
    await someone.open("/ui/insights?window=9y", 422)


async def test_without_counts_the_page_says_when_they_come(someone: Browser) -> None:
    assert "when they are over" in (await someone.open("/ui/insights")).text


async def test_hours_of_many_types_are_shown_by_their_first_ones(
    db: AsyncConnection[Any], someone: Browser
) -> None:
    await some_hours(db, types=40)
    page = await someone.open("/ui/insights?window=7d")
    assert len(page.answer.content) < 120_000
    assert len((await someone.client.get("/ui/insights?format=csv")).text.splitlines()) == 41
