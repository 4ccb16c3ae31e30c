"""A change of the schema stands in nobody's way while it waits for a table that somebody uses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection

from scheduler.domain.errors import Unavailable
from scheduler.store import migrations
from scheduler.store.migrations import Migration
from tests.support.builders import Conn
from tests.support.interleaving import until_it_waits
from tests.support.postgres import Databases
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

NEXT = Migration(9001, "one more", "alter table runs add column one_more integer")


@pytest.fixture
async def owner(databases: Databases) -> AsyncIterator[str]:
    with databases.cloned() as dsn:
        yield dsn


@asynccontextmanager
async def somebody(dsn: str) -> AsyncIterator[Conn]:
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        yield conn


async def test_who_comes_after_a_migration_that_waits_does_not_wait_for_what_it_waits_for(
    owner: str,
) -> None:
    async with somebody(owner) as long, somebody(owner) as other, somebody(owner) as ours:
        await ours.execute(f"set lock_timeout = '{migrations.ASKS}'")
        async with long.transaction():
            await long.execute("select count(*) from runs")
            changing = asyncio.create_task(migrations.apply(ours, NEXT))
            await until_it_waits(owner, ours)
            async with asyncio.timeout(patience(20)):
                await other.execute("select count(*) from runs")
            assert not changing.done()
        async with asyncio.timeout(patience(20)):
            assert await changing == "9001 one more"
        await other.execute("select one_more from runs")


async def test_a_migration_that_waits_in_vain_names_who_is_in_its_way(owner: str) -> None:
    async with somebody(owner) as long, somebody(owner) as ours:
        await ours.execute("set lock_timeout = '10ms'")
        async with long.transaction():
            await long.execute("select count(*) from runs")
            with pytest.raises(Unavailable, match=f"process {long.info.backend_pid} "):
                await migrations.patiently(ours, lambda: migrations.carry_out(ours, NEXT), tries=2)


async def test_every_migration_asks_for_its_tables_briefly(
    owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def apply(conn: Conn, migration: Migration) -> str:
        row = await (await conn.execute("show lock_timeout")).fetchone()
        seen.append(row)
        return migration.name

    monkeypatch.setattr(migrations, "known", lambda: [NEXT])
    monkeypatch.setattr(migrations, "apply", apply)
    assert await migrations.migrate(owner) == ["one more"]
    assert seen == [(migrations.ASKS,)]
