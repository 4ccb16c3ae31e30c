from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.steady import keep_going
from scheduler.store import connections
from tests.support.builders import one

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]


async def ended(conn: Conn, backend: int) -> None:
    while await one(conn, "select count(*) from pg_stat_activity where pid = %s", backend):
        pass


@pytest.mark.parametrize("by", ["the idle limit", "an administrator"])
async def test_work_goes_on_with_a_new_connection_when_the_server_ended_one(
    dsn: str, by: str
) -> None:
    begun: list[int] = []

    async def work(conn: Conn) -> None:
        begun.append(conn.info.backend_pid)
        if len(begun) == 1:
            await end(conn)
            await conn.execute("select 1")

    async def end(conn: Conn) -> None:
        async with await AsyncConnection.connect(dsn, autocommit=True) as other:
            if by == "the idle limit":
                await conn.execute("set idle_in_transaction_session_timeout = '20ms'")
                await conn.execute("begin")
            else:
                await other.execute("select pg_terminate_backend(%s)", [conn.info.backend_pid])
            await ended(other, conn.info.backend_pid)

    await keep_going(lambda: connections.connect(dsn, name="test"), work, name="test")
    assert len(set(begun)) == 2


async def test_a_fault_of_ours_ends_the_work(dsn: str) -> None:
    async def work(conn: Conn) -> None:
        raise LookupError("a fault")

    with pytest.raises(LookupError):
        await keep_going(lambda: connections.connect(dsn, name="test"), work, name="test")
