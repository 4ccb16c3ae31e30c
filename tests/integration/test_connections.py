import pytest

from scheduler.domain.states import RunState
from scheduler.store import connections
from tests.support.postgres import Databases

pytestmark = pytest.mark.anyio


async def test_a_connection_speaks_our_types(dsn: str) -> None:
    async with await connections.connect(dsn, name="test") as conn:
        cursor = await conn.execute("select 'HELD'::run_state, array['HELD']::run_state[]")
        assert await cursor.fetchone() == (RunState.HELD, [RunState.HELD])
        cursor = await conn.execute("select %s", [RunState.HELD])
        assert await cursor.fetchone() == (RunState.HELD,)


async def test_a_database_without_them_says_what_to_do(databases: Databases) -> None:
    with pytest.raises(LookupError, match="no type run_state: run `procession migrate`"):
        await connections.connect(databases.admin, name="test")
