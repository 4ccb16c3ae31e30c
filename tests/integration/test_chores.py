import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection, Rollback

from scheduler.chores.kinds import Args, Tools
from scheduler.services import chores, upkeep
from scheduler.store import chore_schema, connections
from scheduler.store import chores as stored
from scheduler.store.migrations import pending
from tests.support.api import becomes
from tests.support.chores import Kind, a_plane, carrying, named
from tests.support.postgres import Cluster

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
SILENT = timedelta(seconds=2)


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await connections.connect(dsn, name="test") as conn:
        yield conn


class Ledger:
    """A chore that notes what it did, and can be told to fail."""

    def __init__(self, failures: int = 0, name: str = "note", **more: Any) -> None:
        self.done: list[Args] = []
        self.failures = failures
        self.kind = Kind(
            name=name, words="Notes.", work=self.work, pause=timedelta(milliseconds=10), **more
        )

    async def work(self, tools: Tools, args: Args) -> None:
        self.done.append(args)
        if len(self.done) <= self.failures:
            raise RuntimeError("not\x00 yet")


async def jobs(conn: Conn, **more: Any) -> list[dict[str, Any]]:
    return await stored.page(conn, limit=100, **more)


async def states(conn: Conn, job: int) -> list[str]:
    return [row["status"] for row in reversed(await stored.history(conn, job=job, limit=100))]


async def a_stalled(conn: Conn, chore: str = "note", lock: str | None = None) -> int:
    """In the hands of a worker that nobody has heard of for an hour."""
    job = await chores.defer(conn, chore, lock=lock)
    await conn.execute(
        "with w as (insert into procrastinate_workers (last_heartbeat)"
        " values (clock_timestamp() - interval '1 hour') returning id)"
        " update procrastinate_jobs set status = 'doing', worker_id = (select id from w)"
        " where id = %s",
        [job],
    )
    return job


async def test_a_chore_is_there_if_and_only_if_its_transaction_commits(
    dsn: str, conn: Conn
) -> None:
    ledger = Ledger()
    async with conn.transaction():
        await chores.defer(conn, "note", {"kept": False})
        raise Rollback
    async with conn.transaction():
        await chores.defer(conn, "note", {"kept": True})
    async with carrying(a_plane(dsn, named(ledger.kind))):
        await becomes(lambda: stored.history(conn, limit=1))
    assert ledger.done == [{"kept": True}]


async def test_of_chores_with_one_lock_at_most_one_waits(conn: Conn) -> None:
    first = await chores.defer(conn, "note", lock="one")
    async with conn.transaction():
        assert await chores.defer(conn, "note", lock="one") == first
        assert await chores.defer(conn, "note", lock="two") != first
    assert len(await jobs(conn)) == 2


async def test_two_who_defer_the_same_at_once_lose_no_transaction(dsn: str, conn: Conn) -> None:
    async with await connections.connect(dsn, name="other") as other, conn.transaction():
        first = await chores.defer(conn, "note", lock="one")
        async with other.transaction():
            second = asyncio.create_task(chores.defer(other, "note", lock="one"))
            await becomes(lambda: is_waiting(dsn))
            # Whoever came second goes on when the first one commits.
            await conn.execute("commit")
            assert await second == first
        await conn.execute("begin")


async def is_waiting(dsn: str) -> bool:
    async with await AsyncConnection.connect(dsn) as conn:
        cursor = await conn.execute(
            "select from pg_stat_activity where wait_event_type = 'Lock' and state = 'active'"
        )
        return bool(await cursor.fetchall())


async def test_a_waiting_chore_does_not_begin_before_what_was_left_for_it_is_committed(
    dsn: str, conn: Conn
) -> None:
    ledger = Ledger()
    await chores.defer(conn, "note", lock="one")
    async with await connections.connect(dsn, name="other") as other, other.transaction():
        await chores.defer(other, "note", lock="one")
        row = await conn.execute("select (procrastinate_fetch_job_v2('{chores}', null)).id")
        assert await row.fetchone() == (None,)
    async with carrying(a_plane(dsn, named(ledger.kind))):
        await becomes(lambda: stored.history(conn, limit=1))


async def test_what_fails_is_tried_again_and_each_attempt_keeps_its_error_and_trace(
    dsn: str, conn: Conn
) -> None:
    ledger = Ledger(failures=2)
    async with carrying(a_plane(dsn, named(ledger.kind))):
        job = await chores.defer(conn, "note", {"n": 1})
        await becomes(lambda: stored.history(conn, state="SUCCEEDED", limit=1))
    assert await states(conn, job) == ["RETRIED", "RETRIED", "SUCCEEDED"]
    last, *_, first = await stored.history(conn, job=job, limit=9)
    assert first["error"] == "not\ufffd yet"
    assert "RuntimeError" in first["trace"]
    assert last["error"] is None
    assert last["started_at"] < last["ended_at"]


async def test_what_fails_for_good_waits_for_a_person_who_retries_it(dsn: str, conn: Conn) -> None:
    ledger = Ledger(failures=2, tries=2)
    async with carrying(a_plane(dsn, named(ledger.kind))):
        job = await chores.defer(conn, "note", {})
        await becomes(lambda: jobs(conn, status="FAILED"))
        found = await chores.get(conn, job)
        assert (found["status"], found["attempts"]) == ("FAILED", 2)
        assert await chores.retry_all(conn, "note") == 1
        await becomes(lambda: stored.history(conn, state="SUCCEEDED", limit=1))


async def test_a_chore_that_no_server_knows_is_kept(dsn: str, conn: Conn) -> None:
    async with carrying(a_plane(dsn, named(Ledger().kind))):
        job = await chores.defer(conn, "of tomorrow")
        await becomes(lambda: stored.history(conn, job=job, limit=1))
    found = await chores.get(conn, job)
    assert found["error"] == "this server knows no such chore"


async def test_a_chore_that_is_put_off_runs_at_its_time_or_when_somebody_says_so(
    dsn: str, conn: Conn
) -> None:
    ledger = Ledger()
    later = datetime.now(UTC) + timedelta(hours=1)
    async with carrying(a_plane(dsn, named(ledger.kind))):
        job = await chores.defer(conn, "note", at=later)
        soon = await chores.defer(conn, "note", at=datetime.now(UTC) + timedelta(seconds=0.3))
        await becomes(lambda: stored.history(conn, job=soon, limit=1))
        assert (await chores.get(conn, job))["status"] == "SCHEDULED"
        await chores.run_now(conn, job)
        await becomes(lambda: stored.history(conn, job=job, limit=1))


async def test_a_stalled_chore_is_given_back_and_done(dsn: str, conn: Conn) -> None:
    ledger = Ledger()
    job = await a_stalled(conn)
    async with carrying(a_plane(dsn, named(ledger.kind))):
        await becomes(lambda: stored.history(conn, job=job, state="SUCCEEDED", limit=1))
    assert await states(conn, job) == ["LOST", "SUCCEEDED"]


async def test_a_chore_that_kills_each_server_ends_among_the_failed(conn: Conn) -> None:
    job = await a_stalled(conn)
    for _ in range(upkeep.MOST):
        await conn.execute(
            "update procrastinate_jobs set status = 'doing', worker_id = null where id = %s", [job]
        )
        await upkeep.give_back_stalled(conn, SILENT, server="test")
    assert (await chores.get(conn, job))["status"] == "FAILED"
    assert await states(conn, job) == ["LOST"] * (upkeep.MOST - 1) + ["FAILED"]


async def test_a_stalled_chore_whose_place_another_took_gives_way_and_keeps_no_other(
    conn: Conn,
) -> None:
    first = await a_stalled(conn, lock="one")
    second = await chores.defer(conn, "note", lock="one")
    third = await a_stalled(conn)
    assert await upkeep.give_back_stalled(conn, SILENT, server="test") == 2
    assert await states(conn, first) == ["MERGED"]
    assert {row["id"]: row["status"] for row in await jobs(conn)} == {
        second: "WAITING",
        third: "WAITING",
    }


async def test_a_retry_whose_place_another_took_gives_way(dsn: str, conn: Conn) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(tools: Tools, args: Args) -> None:
        if begun.is_set():
            return
        begun.set()
        await go_on.wait()
        raise RuntimeError("try it again")

    kind = Kind(name="slow", words="", work=work, pause=timedelta(0))
    async with carrying(a_plane(dsn, named(kind))):
        first = await chores.defer(conn, "slow", lock="one")
        await begun.wait()
        second = await chores.defer(
            conn, "slow", lock="one", at=datetime.now(UTC) + timedelta(minutes=5)
        )
        go_on.set()
        await becomes(lambda: stored.history(conn, job=first, limit=1))
        await chores.run_now(conn, second)
        await becomes(lambda: stored.history(conn, job=second, limit=1))
    assert await states(conn, first) == ["MERGED"]
    assert await states(conn, second) == ["SUCCEEDED"]


async def test_a_worker_that_was_declared_gone_ends_nothing(conn: Conn) -> None:
    job = await a_stalled(conn)
    cursor = await conn.execute("select worker_id from procrastinate_jobs where id = %s", [job])
    [worker] = await cursor.fetchone() or [0]
    await upkeep.give_back_stalled(conn, SILENT, server="test")
    late = stored.Ended(
        job=job, worker=worker, attempt=0, status="succeeded", state="SUCCEEDED", server="late"
    )
    assert not await stored.finish(conn, late)
    assert not await stored.beat(conn, worker)
    assert (await chores.get(conn, job))["status"] == "WAITING"


async def test_what_a_server_has_in_hand_and_does_not_know_of_is_given_back(
    dsn: str, conn: Conn
) -> None:
    ledger = Ledger()
    async with carrying(a_plane(dsn, named(ledger.kind))):
        job = await chores.defer(conn, "note", at=datetime.now(UTC) + timedelta(hours=1))
        await becomes(lambda: workers(conn))
        # As if the answer to a fetch had been lost.
        await conn.execute(
            "update procrastinate_jobs set status = 'doing', scheduled_at = null,"
            " worker_id = (select max(id) from procrastinate_workers) where id = %s",
            [job],
        )
        await becomes(lambda: stored.history(conn, job=job, state="SUCCEEDED", limit=1))
    assert await states(conn, job) == ["LOST", "SUCCEEDED"]


async def workers(conn: Conn) -> list[Any]:
    cursor = await conn.execute("select id from procrastinate_workers")
    return await cursor.fetchall()


async def test_what_a_stopping_server_has_in_hand_is_handed_back_uncounted(
    dsn: str, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.chores.plane.GRACE", 0.1)
    begun = asyncio.Event()

    async def work(tools: Tools, args: Args) -> None:
        begun.set()
        await asyncio.Event().wait()

    kind = Kind(name="endless", words="", work=work)
    async with carrying(a_plane(dsn, named(kind))):
        job = await chores.defer(conn, "endless")
        await begun.wait()
    found = await chores.get(conn, job)
    assert (found["status"], found["attempts"]) == ("WAITING", 0)
    assert await states(conn, job) == ["HANDED_BACK"]


async def test_chores_go_on_after_the_database_was_away(cluster: Cluster) -> None:
    ledger = Ledger()
    async with carrying(a_plane(cluster.dsn, named(ledger.kind))):
        async with await connections.connect(cluster.dsn, name="test") as conn:
            await chores.defer(conn, "note", {"when": "before"})
            await becomes(lambda: stored.history(conn, limit=1))
        await kept(cluster)
        await cluster.restart(immediate=True)
        async with await connections.connect(cluster.dsn, name="test") as conn:
            await chores.defer(conn, "note", {"when": "after"})
            await becomes(lambda: two_ended(conn))
    assert ledger.done == [{"when": "before"}, {"when": "after"}]


async def kept(cluster: Cluster) -> None:
    """The tests' server is hasty: a crash takes what no checkpoint has kept."""
    async with await AsyncConnection.connect(cluster.dsn, autocommit=True) as conn:
        await conn.execute("checkpoint")


async def two_ended(conn: Conn) -> bool:
    return len(await stored.history(conn, limit=9)) == 2


async def test_an_end_that_cannot_be_written_is_written_when_the_database_is_back(
    cluster: Cluster,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    times = 0

    async def work(tools: Tools, args: Args) -> None:
        nonlocal times
        times += 1
        begun.set()
        await go_on.wait()

    kind = Kind(name="slow", words="", work=work)
    plane = a_plane(cluster.dsn, named(kind), silent_after=timedelta(seconds=30))
    async with carrying(plane):
        async with await connections.connect(cluster.dsn, name="test") as conn:
            job = await chores.defer(conn, "slow")
        await begun.wait()
        await kept(cluster)
        await cluster.kill()
        go_on.set()
        await asyncio.sleep(0)
        await cluster.start()
        async with await connections.connect(cluster.dsn, name="test") as conn:
            await becomes(lambda: stored.history(conn, job=job, limit=1), within=60)
            assert (await states(conn, job))[-1] == "SUCCEEDED"


async def test_what_ended_is_swept_away_and_its_history_stays_for_a_while(conn: Conn) -> None:
    await conn.execute(
        "insert into procrastinate_jobs (queue_name, task_name, status)"
        " select 'chores', 'note', 'succeeded' from generate_series(1, 250)"
    )
    await conn.execute(
        "insert into chore_history (job, chore, args, attempt, state, server, ended_at)"
        " select n, 'note', '{}', 1, 'SUCCEEDED', 'here', now() - n * interval '1 day'"
        "   from generate_series(1, 30) n"
    )
    while await upkeep.sweep(conn):
        pass
    cursor = await conn.execute(
        "select (select count(*) from procrastinate_jobs), (select count(*) from chore_history)"
    )
    assert await cursor.fetchone() == (0, upkeep.LIFE.days - 1)


async def test_what_recurs_is_deferred_once_however_many_servers_look(dsn: str, conn: Conn) -> None:
    await upkeep.plan(conn, {"note": timedelta(hours=1)})
    async with await connections.connect(dsn, name="other") as other:
        made = await asyncio.gather(*(upkeep.defer_due(each, ["note"]) for each in (conn, other)))
    assert sum(made) == 1
    assert len(await jobs(conn)) == 1


async def test_migrations_of_the_queue_itself_are_applied_once(db: AsyncConnection) -> None:
    assert await pending(db) == []
    name = chore_schema.known()[-1]
    await db.execute("delete from chore_migrations where name = %s", [name])
    assert await pending(db) == [name]


async def test_no_chore_keeps_a_place_that_others_wait_for(conn: Conn) -> None:
    """Locks of the queue that keep an order would wait for what is put off, or for the dead."""
    await chores.defer(conn, "note", lock="one")
    cursor = await conn.execute("select count(*) from procrastinate_jobs where lock is not null")
    assert await cursor.fetchone() == (0,)
