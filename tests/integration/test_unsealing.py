"""What a worker does with tasks that ask for secrets, before anything of them is begun."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from psycopg import AsyncConnection

from executor.base import Ending
from scheduler.domain.tasks import Claimed
from scheduler.hands import invocation_of
from scheduler.recorder import Result
from scheduler.services import secrets
from scheduler.services.keyring import Keys
from scheduler.unsealing import Unsealer
from tests.support.builders import a_holder, chain, claimed, engine, publish, start
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
KEYS = Keys(text="c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=")
ASKED = {"env": {"PW": "db/password"}, "files": {"KEY": "deploy-key"}}


@dataclass
class Told:
    begun: list[Claimed] = field(default_factory=list)
    failed: list[Result] = field(default_factory=list)

    def errors(self) -> dict[str, str | None]:
        return {each.task.name: each.outcome.error for each in self.failed}


@asynccontextmanager
async def unsealing(conn: Conn, keys: Keys = KEYS) -> AsyncIterator[tuple[Unsealer, Told]]:
    told = Told()
    unsealer = Unsealer(keys, told.begun.extend, told.failed.extend)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(unsealer.work(conn))
        yield unsealer, told
        work.cancel()


async def tasks_that_ask(conn: Conn, asked: Sequence[Any]) -> list[Claimed]:
    await publish(conn, chain("secretive", *[", needs: []"] * len(asked)))
    await start(conn, "secretive")
    found = await claimed(conn, await a_holder(conn), len(asked))
    found.sort(key=lambda task: task.name)
    return [
        replace(task, kind="run", invocation={"argv": ["true"], "secrets": each})
        for task, each in zip(found, asked, strict=True)
    ]


async def put(conn: Conn, name: str, value: str, *grants: str) -> None:
    await secrets.put(conn, KEYS.load(), name, value, grants=grants, by="test")


async def test_values_reach_the_invocation_and_nothing_else(dsn: str) -> None:
    async with await engine(dsn) as conn, await engine(dsn) as other:
        await put(conn, "db/password", "hunter22", "secretive")
        await put(conn, "deploy-key", "a\nkey\nof lines", "*")
        (task,) = await tasks_that_ask(conn, [ASKED])
        async with unsealing(other) as (unsealer, told):
            unsealer.take(task)
            await until(lambda: bool(told.begun))
        begun = invocation_of(told.begun[0])
        assert begun.secrets == {"PW": "hunter22"}
        assert begun.secret_files == {"KEY": "a\nkey\nof lines"}
        assert begun.hidden == {"hunter22", "a\nkey\nof lines"}
        assert "hunter22" not in repr(begun)
        assert "hunter22" not in repr(task)
        assert told.failed == []
        assert len(unsealer) == 0


async def test_who_asks_for_what_it_does_not_get_fails_alone_uncounted_and_for_good(
    dsn: str,
) -> None:
    async with await engine(dsn) as conn, await engine(dsn) as other:
        await put(conn, "granted", "hunter22", "secretive")
        await put(conn, "foreign", "hunter23", "another")
        asked = [{"env": {"X": name}} for name in ("granted", "foreign", "missing")]
        tasks = await tasks_that_ask(conn, [*asked, {}])
        async with unsealing(other) as (unsealer, told):
            for task in tasks:
                unsealer.take(task)
            await until(lambda: len(told.begun) + len(told.failed) == 4)
        assert [task.name for task in told.begun] == ["t0", "t3"]
        errors = told.errors()
        assert "'foreign' is not granted to the type 'secretive'" in str(errors["t1"])
        assert "procession secrets grant foreign secretive" in str(errors["t1"])
        assert "there is no secret 'missing'" in str(errors["t2"])
        for each in told.failed:
            assert each.outcome.ending is Ending.FAILED
            assert not each.outcome.counted
            assert not each.outcome.retryable


async def test_a_worker_without_the_key_says_which_one_it_lacks(dsn: str) -> None:
    async with await engine(dsn) as conn, await engine(dsn) as other:
        await put(conn, "granted", "hunter22", "*")
        (task,) = await tasks_that_ask(conn, [{"env": {"X": "granted"}}])
        for keys in (Keys(), Keys(text="no key at all")):
            async with unsealing(other, keys) as (unsealer, told):
                unsealer.take(task)
                await until(partial(bool, told.failed))
            error = str(told.failed[0].outcome.error)
            assert KEYS.load().current.id in error or "line 1 is no key" in error
            assert "no key at all" not in error


async def test_a_lost_connection_loses_no_task(dsn: str) -> None:
    async with await engine(dsn) as conn:
        await put(conn, "granted", "hunter22", "*")
        (task,) = await tasks_that_ask(conn, [{"env": {"X": "granted"}}])
        told = Told()
        unsealer = Unsealer(KEYS, told.begun.extend, told.failed.extend)
        unsealer.take(task)
        lost = await engine(dsn)
        await lost.close()
        with pytest.raises(Exception, match="closed"):
            await unsealer.work(lost)
        assert len(unsealer) == 1
        async with asyncio.TaskGroup() as group:
            work = group.create_task(unsealer.work(conn))
            await until(lambda: bool(told.begun))
            work.cancel()
